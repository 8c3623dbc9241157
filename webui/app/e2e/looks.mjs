// What every screen must keep to: accessibility in both colour schemes, no sideways scrolling at 360 px, words in three languages.
import assert from 'node:assert/strict'
import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {open, stands} from './browser.mjs'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** axe finds nothing against WCAG 2.2 AA on what is shown now. */
export async function accessible(page, where) {
  await page.evaluate(axe)
  const found = await page.evaluate(() => window.axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}))
  assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => `${n.target} ${n.html.slice(0, 160)} ${n.any.map((a) => a.message).join('; ').slice(0, 200)}`).join(' | ')}`), [], where)
}

/** Nothing is wider than the window, and nothing stands beside it. */
export async function fits(page, where) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth
    if (document.documentElement.scrollWidth <= width) return []
    return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > width + 1).map((e) => `${e.tagName}.${e.className} ${Math.round(e.getBoundingClientRect().right)} px`).slice(0, 5)
  })
  assert.deepEqual(wide, [], `${where} scrolls sideways`)
}

/** No key of a text stands where its words should, and no slot is left empty. */
export async function worded(page, where) {
  const text = await page.locator('body').innerText()
  assert.doesNotMatch(text, /\{\w+\}/, `${where} has a slot without its value`)
  assert.doesNotMatch(text, /(^|\s)(nav|home|link|links|rules|rule|people|apps|door|settings|state|why|form|qos|filter|system|setup|ask|trial)\.[a-z][A-Za-z]+(\s|$)/m, `${where} shows a key`)
  assert.doesNotMatch(text, /\bundefined\b|\bNaN\b|\[object/, `${where} shows a value that is none`)
}

/** Visits screens and does something on each; what fails on some is told of all of them together. */
export async function tour(page, screens, each) {
  const failed = []
  for (const at of screens) {
    await open(page, at)
    await each(at).catch((err) => failed.push(err.message))
  }
  assert.equal(failed.length, 0, failed.join('\n\n'))
}

export async function speak(page, language) {
  await page.evaluate((l) => localStorage.setItem('trenza.language', l), language)
  await page.reload()
  await stands(page)
}
