// How long the screens of a large house take: the time to their first data, and the longest frame while live data comes. Prints a table.
import {DESK, launch, open, PAGE, signIn, stands, visitor} from './browser.mjs'
import {SCREENS} from './screens.mjs'

const WATCH = 5000 // ms on each screen
const browser = await launch()
try {
  const {page, faults} = await visitor(browser, {size: DESK})
  await page.goto(PAGE + '/')
  await signIn(page, 'Rosa', 'three braided willow ropes')
  const later = page.getByRole('button', {name: 'Finish later'})
  await later.or(page.locator('main h1')).first().waitFor()
  if (await later.isVisible()) await later.click()
  const rows = []
  for (const at of SCREENS.map((s) => s.replace('laptop', 'device7').replace('ana', 'person3'))) {
    await open(page, at === 'home' ? 'settings' : 'home')
    const first = await page.evaluate(async (hash) => {
      const begin = performance.now()
      location.hash = hash
      const ready = () => document.querySelector('main h1') && !document.querySelector('main .skeleton, main [aria-busy=true]')
      await new Promise((done) => requestAnimationFrame(done))
      while (!ready()) await new Promise((done) => requestAnimationFrame(done))
      return performance.now() - begin
    }, '#/' + at)
    await stands(page)
    const {longest, over} = await page.evaluate((watch) => new Promise((done) => {
      const end = performance.now() + watch
      let last = performance.now(), longest = 0, over = 0
      const frame = (now) => {
        longest = Math.max(longest, now - last)
        if (now - last > 50) over++
        last = now
        if (now < end) requestAnimationFrame(frame)
        else done({longest, over})
      }
      requestAnimationFrame(frame)
    }), WATCH)
    rows.push({screen: at, 'first data (ms)': Math.round(first), 'longest frame (ms)': Math.round(longest), 'frames over 50 ms': over})
  }
  console.table(rows)
  if (faults.length) throw new Error(faults.join('\n'))
} finally {
  await browser.close()
}
