// A browser on the page, which notes what must never happen: errors, reports of the content security policy, requests elsewhere.
import {chromium} from 'playwright-core'

export const PAGE = need('PAGE')
export const LAB = need('LAB')

function need(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: these steps are started by "go test ./integration/page"`)
  return value
}

/** How long a condition may take to come true; a machine that is busy with other things gets its time. */
export const PATIENCE = 60_000

export const PHONE = {width: 360, height: 780}
export const DESK = {width: 1360, height: 900}

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

/** Somebody's browser: its page, and the faults that it noted. */
export async function visitor(browser, {size = DESK, scheme = 'light', language = 'en', reduced = true} = {}) {
  const context = await browser.newContext({viewport: size, colorScheme: scheme, locale: language === 'zh' ? 'zh-CN' : language === 'es' ? 'es-ES' : 'en-GB', reducedMotion: reduced ? 'reduce' : 'no-preference'})
  context.setDefaultTimeout(PATIENCE)
  const faults = []
  await context.exposeFunction('noteViolation', (what) => faults.push(`content security policy: ${what}`))
  await context.addInitScript(() => addEventListener('securitypolicyviolation', (e) => window.noteViolation(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`)))
  const page = await context.newPage()
  page.on('pageerror', (err) => faults.push(`error: ${err.stack ?? err}`))
  page.on('request', (r) => {
    if (!/^(data|blob|about):/.test(r.url()) && !r.url().startsWith(PAGE + '/')) faults.push(`a request elsewhere: ${r.url()}`)
  })
  return {context, page, faults}
}

/** Opens a screen by its address and waits until it stands. */
export async function open(page, at) {
  if (!page.url().startsWith(PAGE)) await page.goto(PAGE + '/#/' + at)
  else await page.evaluate((hash) => (location.hash = hash), '#/' + at)
  await stands(page)
}

/** The screen has its title and shows data instead of grey blocks. */
export async function stands(page) {
  await page.locator('main h1').first().waitFor({state: 'attached'})
  await page.waitForFunction(() => !document.querySelector('main .skeleton, main [aria-busy=true]'))
}

export async function signIn(page, name, password) {
  if (!page.url().startsWith(PAGE)) await page.goto(PAGE + '/')
  await page.locator('input[name=name]').fill(name)
  await page.locator('input[name=password]').fill(password)
  await page.locator('form button[type=submit]').click()
  await page.locator('nav.side, nav.bar5').first().waitFor({state: 'attached'})
}

/** Waits until what a question answers is as wanted, and gives it back. */
export async function until(what, ask, wanted, patience = PATIENCE) {
  const end = Date.now() + patience
  let last
  for (;;) {
    last = await ask()
    if (wanted(last)) return last
    if (Date.now() > end) throw new Error(`${what}: still ${JSON.stringify(last)} after ${patience / 1000} s`)
    await new Promise((done) => setTimeout(done, 100))
  }
}

/** Asks the lab, not the page. */
export async function lab(path, method = 'GET') {
  const answer = await fetch(LAB + path, {method})
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer.status === 204 ? undefined : answer.json()
}

/** Asks the router with the page's own session. */
export const api = (page, path, method = 'GET', json) => page.evaluate(async ([path, method, json]) => {
  const answer = await fetch('/api/v1' + path, {method, headers: json === undefined ? {} : {'Content-Type': 'application/json'}, body: json === undefined ? undefined : JSON.stringify(json)})
  const text = await answer.text()
  return {status: answer.status, body: text && answer.headers.get('Content-Type')?.includes('json') ? JSON.parse(text) : text}
}, [path, method, json])
