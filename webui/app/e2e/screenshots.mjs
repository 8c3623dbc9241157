// A picture of every screen, phone and desktop, in a house that lives. ONLY=home,settings takes fewer.
import {mkdirSync} from 'node:fs'
import {join} from 'node:path'
import {api, DESK, lab, launch, open, PAGE, PATIENCE, signIn, stands, visitor} from './browser.mjs'
import {MEMBER_SCREENS, SCREENS} from './screens.mjs'

const folder = process.env.SCREENSHOTS
mkdirSync(folder, {recursive: true})
const browser = await launch()
const looks = [['desktop-light', DESK, 'light'], ['desktop-dark', DESK, 'dark'], ['phone-light', {width: 390, height: 844}, 'light'], ['phone-dark', {width: 390, height: 844}, 'dark']]
const only = process.env.ONLY?.split(',')
const PASSWORD = 'three braided willow ropes'

async function picture(page, name) {
  await page.evaluate(() => document.fonts.ready)
  await page.screenshot({path: join(folder, name + '.png'), fullPage: true})
}

/** The same screens in each look, by somebody who signed in. */
async function series(name, screens, prefix) {
  for (const [look, size, scheme] of looks) {
    const {page, context} = await visitor(browser, {size, scheme})
    await signIn(page, name, PASSWORD)
    for (const at of screens.filter((s) => !only || only.includes(s))) {
      await open(page, at)
      await page.waitForTimeout(300) // the strands of the navigation arrive
      await picture(page, `${prefix}${at.replaceAll('/', '-')}-${look}`)
    }
    await context.close()
  }
}

try {
  const {page} = await visitor(browser, {size: DESK})
  await page.goto(PAGE + '/')
  await page.locator('input[name=name]').fill('Rosa')
  await page.locator('input[name=password]').fill(PASSWORD)
  await page.locator('.meter').waitFor()
  await picture(page, 'first-admin-desktop-light')
  await page.locator('form button[type=submit]').click()
  await page.getByRole('heading', {name: /were found/}).waitFor()
  await picture(page, 'setup-links-desktop-light')
  await page.getByRole('button', {name: 'Finish later'}).click()
  await page.locator('nav.side').waitFor()
  await lab('/traffic', 'POST')
  await api(page, '/users', 'POST', {name: 'Ana', password: PASSWORD, role: 'member', person: 'ana'})
  await open(page, 'home')
  // A minute of life, so that charts and lists have something to show.
  await page.waitForFunction(() => document.querySelectorAll('main .li.busy').length >= 3, undefined, {timeout: PATIENCE})
  await page.waitForTimeout(45_000)
  await stands(page)
  await series('Rosa', SCREENS, '')
  await series('Ana', MEMBER_SCREENS, 'member-')
} finally {
  await browser.close()
}
