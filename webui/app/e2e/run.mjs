// A family's way through the page, in order: one house, one browser, real traffic behind it.
import assert from 'node:assert/strict'
import {test} from 'node:test'
import {api, lab, launch, open, PHONE, signIn, stands, until, visitor} from './browser.mjs'
import {accessible, fits, speak, tour, worded} from './looks.mjs'
import {MEMBER_SCREENS, SCREENS} from './screens.mjs'

const ADMIN = 'Rosa', PASSWORD = 'three braided willow ropes'
const SEAL = 'eleven slow canal boats'
const MEMBER = 'Ana', MEMBERS = 'seven quiet copper kettles'

const browser = await launch()
const admin = await visitor(browser)
const {page} = admin
const steps = []
const step = (name, run) => steps.push({name, run})

step('the first visit is small', async () => {
  const sizes = []
  page.on('requestfinished', (r) => sizes.push(r.sizes().then((s) => [r.url(), s.responseBodySize])))
  await page.goto(process.env.PAGE + '/')
  await page.getByRole('heading', {name: 'Choose who looks after'}).waitFor()
  const files = (await Promise.all(sizes)).filter(([url]) => !url.includes('/api/'))
  const total = files.reduce((sum, [, size]) => sum + size, 0)
  page.removeAllListeners('requestfinished')
  assert.ok(files.length >= 4 && total > 30 << 10 && total <= 90 << 10, `it fetched ${total} bytes: ${JSON.stringify(files)}`)
})

step('a new router is set up from zero', async () => {
  await page.getByRole('heading', {name: 'Choose who looks after'}).waitFor()
  await accessible(page, 'the first setup')
  await page.locator('input[name=name]').fill(ADMIN)
  await page.locator('input[name=password]').fill('password')
  await page.getByText('Too short').waitFor()
  await page.locator('input[name=password]').fill(PASSWORD)
  await page.getByText('A good password').waitFor()
  await page.locator('form button[type=submit]').click()
  await page.getByRole('heading', {name: '3 links were found'}).waitFor()
  await accessible(page, 'the links of the setup')
  await page.getByRole('button', {name: 'Continue'}).click()
  await page.getByRole('heading', {name: 'Who lives here?'}).waitFor()
  await page.reload() // it is left, and continued where it was
  await page.getByRole('heading', {name: 'Who lives here?'}).waitFor()
  await page.getByPlaceholder('Name').fill('Grandmother')
  await page.getByRole('button', {name: 'Add a person'}).click()
  await page.getByText('Grandmother').waitFor()
  await accessible(page, 'the people of the setup')
  await page.getByRole('button', {name: 'Continue'}).click()
  await page.getByRole('button', {name: 'Open the page'}).click()
  await page.locator('nav.side').waitFor()
  await open(page, 'home')
  await page.getByRole('heading', {name: /All good. 3 links/}).waitFor()
})

step('the admin signs out and in again', async () => {
  await open(page, 'settings')
  await page.getByRole('button', {name: 'Sign out'}).first().click()
  await page.getByRole('heading', {name: 'Sign in'}).waitFor()
  await page.locator('input[name=name]').fill(ADMIN)
  await page.locator('input[name=password]').fill('not the password at all')
  await page.locator('form button[type=submit]').click()
  await page.getByText('Name or password is not right.').waitFor()
  await accessible(page, 'the door')
  await signIn(page, ADMIN, PASSWORD)
  await stands(page)
})

/** Keeps what is tried. */
async function keep(p) {
  await p.getByRole('button', {name: 'Keep changes'}).click()
  await until('the trial ends', () => lab('/trial'), (trial) => !trial.running)
  await p.getByText('The changes are kept.').waitFor()
  await p.waitForFunction(() => !document.querySelector('dialog[open]'))
}

/** Fills the form of a new rule: what the laptop's flows of a kind do. */
async function ruleFor(name, what, link) {
  await open(page, 'rules')
  await page.getByRole('button', {name: 'Add a rule'}).click()
  await page.getByLabel('Name (optional)').fill(name)
  await page.getByLabel('What', {exact: true}).selectOption(what)
  await page.getByLabel('Of whom').selectOption('device:laptop')
  await page.getByLabel('Does what').selectOption('fixed')
  await page.getByLabel('Link', {exact: true}).selectOption(link)
}

/** The rules, also while the router starts anew. */
const rules = () => until('the router answers', () => lab('/policy').catch(() => null), (p) => p !== null)

/** Goes to an element with the Tab key, as somebody without a mouse does. */
async function reach(p, target) {
  await target.waitFor()
  for (let i = 0; i < 150; i++) {
    await p.keyboard.press('Tab')
    if (await target.evaluate((e) => e === document.activeElement)) return
  }
  throw new Error(`the Tab key does not reach ${target}`)
}

async function press(p, target) {
  await reach(p, target)
  await p.keyboard.press('Enter')
}

let home // the link that the laptop's stream has by the rules that were kept

step('a house rule moves a running flow to another link, and is kept', async () => {
  await lab('/flow', 'POST')
  const before = await until('the laptop streams over a link', () => lab('/flow'), (f) => f.link && f.answered > 20)
  home = before.link === 'wifi' ? 'fiber' : 'wifi'
  const {version} = await lab('/policy')
  await ruleFor('Video of the laptop', 'video', home)
  await accessible(page, 'the form of a rule')
  await page.getByRole('button', {name: 'Preview effects'}).click()
  await page.getByRole('heading', {name: 'What will change'}).waitFor()
  await page.getByText('Affects 1 device and 1 running connection.').waitFor()
  await accessible(page, 'the effects of a rule')
  assert.equal((await lab('/flow')).link, before.link, 'a preview changed something')
  await page.getByRole('button', {name: 'Try for 60 seconds'}).click()
  await page.getByRole('heading', {name: 'Keep this change?'}).waitFor()
  const timer = page.getByRole('timer')
  const first = await timer.innerText()
  const moved = await until(`the stream moves to ${home}`, () => lab('/flow'), (f) => f.link === home)
  // It is the same stream: it goes on, and is answered at the new address.
  await until('the stream goes on', () => lab('/flow'), (f) => f.answered > moved.answered)
  await until('the seconds run', () => timer.innerText(), (text) => text !== first)
  await accessible(page, 'the question of a trial')
  await keep(page)
  const kept = await lab('/policy')
  assert.equal(kept.version, version + 1)
  assert.match(kept.text, /Video of the laptop/)
})

step('a trial that its admin takes back leaves nothing', async () => {
  const {version, text} = await lab('/policy')
  await ruleFor('Everything over LTE', '', 'lte')
  await page.getByRole('button', {name: 'Preview effects'}).click()
  await page.getByRole('button', {name: 'Try for 60 seconds'}).click()
  await page.getByRole('heading', {name: 'Keep this change?'}).waitFor()
  await page.getByRole('button', {name: 'Go back now'}).click()
  await page.getByText('The changes were not confirmed.').waitFor()
  const after = await lab('/policy')
  assert.deepEqual([after.version, after.text], [version, text])
})

step('an admin who loses contact is brought back to how it was', async () => {
  const {version, text} = await lab('/policy')
  await ruleFor('Video over LTE', 'video', 'lte')
  await page.getByLabel('Of whom').selectOption('person:ana')
  await page.getByRole('button', {name: 'Preview effects'}).click()
  await page.getByRole('button', {name: 'Try for 60 seconds'}).click()
  await page.getByRole('heading', {name: 'Keep this change?'}).waitFor()
  assert.equal((await lab('/trial')).running, true)
  await admin.context.setOffline(true)
  await until('the router goes back by itself', () => lab('/trial'), (trial) => !trial.running, 120_000)
  const after = await lab('/policy')
  assert.deepEqual([after.version, after.text], [version, text])
  await admin.context.setOffline(false)
  await page.getByText('The changes were not confirmed.').waitFor()
  await page.getByRole('button', {name: 'Close'}).first().click()
  await page.waitForFunction(() => !document.querySelector('dialog[open]'))
  assert.equal((await page.getByText('Video over LTE').all()).length, 0)
})

step('two admins who edit at once are asked, and neither edit is lost', async () => {
  await ruleFor('Games of the laptop', 'games', 'fiber')
  const {version, text} = await lab('/policy')
  const theirs = text.replace('No gambling sites for children', 'No betting for children')
  assert.notEqual(theirs, text)
  const saved = await page.evaluate(async ([version, text]) => (await fetch(`/api/v1/policy?version=${version}`, {method: 'PUT', headers: {'Content-Type': 'application/yaml'}, body: text})).status, [version, theirs])
  assert.equal(saved, 200)
  await page.getByRole('button', {name: 'Preview effects'}).click()
  await page.getByRole('heading', {name: 'Someone else changed the rules meanwhile'}).waitFor()
  await page.getByText('No betting for children').first().waitFor()
  await accessible(page, 'the merge question')
  await page.getByRole('button', {name: 'Add mine to theirs'}).click()
  await page.getByRole('button', {name: 'Try for 60 seconds'}).click()
  await keep(page)
  const both = (await lab('/policy')).text
  assert.match(both, /No betting for children/)
  assert.match(both, /Games of the laptop/)
})

step('a kind of site is stopped for everyone by one button', async () => {
  await until('the TV reaches a betting site', () => lab('/forbidden', 'POST'), (b) => !b.refused)
  await open(page, 'filter')
  await page.getByRole('button', {name: 'Gambling'}).click()
  await page.getByRole('heading', {name: 'What will change'}).waitFor()
  await accessible(page, 'stopping a kind of site')
  await page.getByRole('button', {name: 'Try for 60 seconds'}).click()
  await keep(page)
  await until('the TV is refused', () => lab('/forbidden', 'POST'), (b) => b.refused)
  await page.locator('button[aria-pressed=true]', {hasText: 'Gambling'}).waitFor()
})

step('a person is paused for a while, and bedtime is put off', async () => {
  await open(page, 'people')
  await page.getByRole('button', {name: 'Time off: Leo'}).click()
  await accessible(page, 'time off')
  await page.getByRole('button', {name: '1 h', exact: true}).click()
  await page.getByText(/^Paused until/).first().waitFor()
  assert.match((await lab('/policy')).text, /pause-leo[^]*until:/)
  await page.getByRole('button', {name: 'Resume'}).click()
  await page.getByRole('button', {name: '1 h', exact: true}).waitFor()
  assert.doesNotMatch((await lab('/policy')).text, /pause-leo/)
  await page.getByRole('button', {name: 'Set bedtime'}).click()
  await page.getByRole('button', {name: '30 minutes more'}).click()
  await page.getByText(/^Bedtime begins later once/).waitFor()
  assert.match((await lab('/policy')).text, /bedtime-leo[^]*from:/)
  await page.getByRole('button', {name: 'No bedtime'}).click()
  await page.getByRole('button', {name: 'Set bedtime'}).waitFor()
  await page.getByRole('button', {name: 'Close'}).first().click()
  await page.waitForFunction(() => !document.querySelector('dialog[open]'))
})

step('a paused device reaches nothing', async () => {
  await until('the TV plays', () => lab('/watch', 'POST'), (b) => !b.refused)
  await open(page, 'people/tv')
  await page.getByRole('button', {name: 'Until I resume'}).click()
  await page.getByRole('button', {name: 'Resume'}).waitFor()
  await until('the TV is refused', () => lab('/watch', 'POST'), (b) => b.refused)
  await page.getByRole('button', {name: 'Resume'}).click()
  await until('the TV plays again', () => lab('/watch', 'POST'), (b) => !b.refused)
  await page.getByRole('button', {name: 'Close'}).first().click()
  await page.waitForFunction(() => !document.querySelector('dialog[open]'))
})

step('a new device appears, and gets a name and a person', async () => {
  await open(page, 'home')
  await lab('/visitor', 'POST')
  // Its name is known as soon as the house's server tells its lease.
  const note = page.locator('.note', {hasText: /New on the network: (visitor|5e:10:ca)/})
  await note.waitFor()
  await accessible(page, 'a new device on Home')
  await note.getByRole('link', {name: /^Whose is it/}).click()
  await page.getByLabel('Name', {exact: true}).fill('Cousin’s phone')
  await page.getByLabel('Whose it is').selectOption('leo')
  await page.getByRole('button', {name: 'Save', exact: true}).click()
  await page.waitForFunction(() => !document.querySelector('dialog[open]'))
  assert.match((await lab('/policy')).text, /Cousin’s phone[^]*owner: leo|owner: leo[^}]*Cousin’s phone/)
  await open(page, 'home')
  await note.waitFor({state: 'detached'})
})

step('the keyboard alone is enough to try a rule', async () => {
  const {version} = await lab('/policy')
  await open(page, 'home')
  await press(page, page.locator('nav.side a', {hasText: 'Rules'}))
  await stands(page)
  await press(page, page.getByRole('button', {name: 'Add a rule'}))
  await reach(page, page.getByLabel('Name (optional)'))
  await page.keyboard.type('By keys alone')
  await reach(page, page.getByLabel('Of whom'))
  await page.keyboard.press('ArrowDown')
  await press(page, page.getByRole('button', {name: 'Preview effects'}))
  await page.getByRole('heading', {name: 'What will change'}).waitFor()
  await press(page, page.getByRole('button', {name: 'Try for 60 seconds'}))
  await page.getByRole('heading', {name: 'Keep this change?'}).waitFor()
  await press(page, page.getByRole('button', {name: 'Go back now'}))
  await page.getByText('The changes were not confirmed.').waitFor()
  await press(page, page.getByRole('button', {name: 'Close'}).first())
  assert.equal((await lab('/policy')).version, version)
})

step('a backup is restored on trial: it goes back, and it is kept', async () => {
  const old = (await lab('/policy')).text
  await open(page, 'settings')
  await page.getByRole('button', {name: 'Make backup'}).click()
  await page.getByLabel('The secrets of this box').check()
  await page.getByLabel('Passphrase', {exact: true}).fill(SEAL)
  await accessible(page, 'the form of a backup')
  const download = page.waitForEvent('download')
  await page.locator('dialog[open]').getByRole('button', {name: 'Make backup'}).click()
  const file = await (await download).path()
  await page.waitForFunction(() => !document.querySelector('dialog[open]'))
  const added = await page.evaluate(async (text) => (await fetch('/api/v1/policy', {method: 'PUT', headers: {'Content-Type': 'application/yaml'}, body: text})).status, old.replace('people:', 'people:\n  - {id: late, name: Late}'))
  assert.equal(added, 200)
  for (const keeps of [false, true]) {
    await page.getByRole('button', {name: 'Choose a file…'}).click()
    await page.locator('dialog[open] input[type=file]').setInputFiles(file)
    await page.getByLabel('Its passphrase').fill(SEAL)
    await page.getByRole('button', {name: 'Open it'}).click()
    await page.getByText('Your own login stays as it is.').waitFor()
    await accessible(page, 'what a backup would change')
    await page.getByRole('button', {name: 'Restore and try'}).click()
    await page.getByRole('heading', {name: 'Keep the restored backup?'}).waitFor()
    assert.doesNotMatch((await rules()).text, /name: Late/)
    await accessible(page, 'the question of a restored backup')
    await page.getByRole('button', {name: keeps ? 'Keep it' : 'Go back now'}).click()
    await page.getByText(keeps ? 'The backup is kept.' : 'The restored backup was not kept.').waitFor()
    await page.waitForFunction(() => !document.querySelector('dialog[open]'))
    const now = (await rules()).text
    if (keeps) assert.equal(now, old)
    else assert.match(now, /name: Late/)
  }
  await stands(page)
})

step('a program gets a key, and loses it', async () => {
  await open(page, 'settings')
  await page.getByRole('button', {name: 'Make a key'}).click()
  await page.getByLabel('What it is for').fill('home automation')
  await accessible(page, 'the form of a key')
  await page.locator('dialog[open]').getByRole('button', {name: 'Make a key'}).click()
  const secret = await page.locator('dialog[open] .secret').innerText()
  const asks = (path) => fetch(process.env.PAGE + '/api/v1' + path, {headers: {Authorization: `Bearer ${secret}`}}).then((r) => r.status)
  assert.deepEqual([await asks('/status'), await asks('/hardware/modem/messages')], [200, 403])
  await page.getByRole('button', {name: 'I have copied it'}).click()
  await page.getByRole('button', {name: 'Take back home automation'}).click()
  await page.getByRole('button', {name: 'Yes, take back home automation'}).click()
  await page.getByText('No program has a key of yours.').waitFor()
  assert.equal(await asks('/status'), 401)
})

step('why says which rule decides', async () => {
  await open(page, 'apps')
  await page.getByRole('searchbox').fill('youtube')
  await page.getByRole('button', {name: /^Why: YouTube/}).first().click()
  const why = page.locator('dialog.drawer')
  await why.getByText(/House rule: Video of the laptop/).first().waitFor()
  await accessible(page, 'why')
  await page.keyboard.press('Escape')
  await page.locator('dialog.drawer[open]').waitFor({state: 'detached'})
})

step('every screen is accessible in both colour schemes', async () => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({colorScheme})
    await tour(page, SCREENS, (at) => accessible(page, `${at}, ${colorScheme}`))
  }
  await page.emulateMedia({colorScheme: 'light'})
})

step('every screen fits a phone and speaks three languages', async () => {
  await page.setViewportSize(PHONE)
  for (const language of ['es', 'zh', 'en']) {
    await speak(page, language)
    await tour(page, SCREENS, async (at) => {
      await fits(page, `${at}, ${language}`)
      await worded(page, `${at}, ${language}`)
    })
  }
  await tour(page, SCREENS, (at) => accessible(page, `${at} on a phone`))
  await page.setViewportSize({width: 1360, height: 900})
})

step('a member sees only what is theirs, changes only that, and can become no more', async () => {
  await open(page, 'settings')
  await page.getByRole('button', {name: 'Let someone in'}).click()
  await page.getByLabel('Name', {exact: true}).fill(MEMBER)
  await page.getByLabel('Password', {exact: true}).fill(MEMBERS)
  await page.getByLabel('Who it is').selectOption('ana')
  await accessible(page, 'the form of a user')
  await page.getByRole('button', {name: 'Save', exact: true}).click()
  await page.getByRole('button', {name: 'Change ' + MEMBER}).waitFor()
  const ana = await visitor(browser)
  await signIn(ana.page, MEMBER, MEMBERS)
  for (const scheme of ['light', 'dark']) {
    await ana.page.emulateMedia({colorScheme: scheme})
    await tour(ana.page, MEMBER_SCREENS, async (at) => {
      assert.equal(await ana.page.locator('main .failed').count(), 0, `${at} failed for a member`)
      const text = await ana.page.locator('main').innerText()
      assert.doesNotMatch(text, /Leo|Phone|Console|Camera/, `${at} tells a member of others`)
      await accessible(ana.page, `a member's ${at}, ${scheme}`)
    })
  }
  await open(ana.page, 'rules')
  await ana.page.getByRole('button', {name: 'Add a rule'}).click()
  await ana.page.getByLabel('Name (optional)').fill('My shop')
  await ana.page.getByLabel('What', {exact: true}).selectOption('shopping')
  await ana.page.getByLabel('Does what').selectOption('fixed')
  await ana.page.getByLabel('Link', {exact: true}).selectOption('lte')
  await ana.page.getByRole('button', {name: 'Preview effects'}).click()
  await ana.page.getByRole('button', {name: 'Try for 60 seconds'}).click()
  await keep(ana.page)
  assert.match((await lab('/policy')).text, /My shop/)

  // What the house does not allow is said where the rule is written, with the rule that stands above it.
  await open(ana.page, 'rules')
  await ana.page.getByRole('button', {name: 'Add a rule'}).click()
  await ana.page.getByLabel('Name (optional)').fill('Updates on the train')
  await ana.page.getByLabel('What', {exact: true}).selectOption('updates')
  await ana.page.getByLabel('Does what').selectOption('fixed')
  await ana.page.getByLabel('Link', {exact: true}).selectOption('lte')
  await ana.page.getByRole('button', {name: 'Preview effects'}).click()
  await ana.page.getByRole('heading', {name: 'What will change'}).waitFor()
  await ana.page.getByText(/Video and updates never use the mobile data/).first().waitFor()
  await accessible(ana.page, 'a rule that a bound refuses')
  await ana.page.getByRole('button', {name: 'Discard'}).first().click()

  // What a member asks for is a rule as soon as an admin allows it.
  await open(ana.page, 'ask')
  await ana.page.locator('form select').nth(1).selectOption('education')
  await ana.page.locator('form select').nth(2).selectOption('lte')
  await ana.page.getByRole('button', {name: 'Send'}).click()
  await ana.page.getByText('Waiting').waitFor()
  await open(page, 'home')
  await page.getByText('Let me use LTE for School.').waitFor()
  await accessible(page, 'a request on Home')
  await page.getByRole('button', {name: 'Allow', exact: true}).click()
  await page.getByText('Allowed. The rule is in force.').waitFor()
  assert.match((await lab('/policy')).text, /Let me use LTE for School/)
  await ana.page.getByText('Allowed', {exact: true}).waitFor()

  const {version} = await lab('/policy')
  const users = await api(page, '/users')
  const me = users.body.find((u) => u.name === MEMBER)
  const rule = {id: 'mine', force: 'must', filter: {allow: true}}
  const refused = [
    ['/policy', 'GET'], ['/users', 'GET'], ['/audit', 'GET'], ['/hardware', 'GET'],
    [`/users/${me.id}`, 'PATCH', {role: 'admin'}], ['/users', 'POST', {name: 'Eve', password: MEMBERS, role: 'admin'}], [`/users/${users.body[0].id}`, 'DELETE'],
    ['/drafts', 'POST', {version, text: 'house: []'}], ['/drafts', 'POST', {version, edits: [{putRule: rule, owner: 'leo'}]}], ['/drafts', 'POST', {version, edits: [{deleteRule: 'calls'}]}],
    ['/drafts', 'POST', {version, edits: [{putPerson: {id: 'eve'}}]}], ['/requests/1/answer', 'POST', {accept: true}],
  ]
  for (const [path, method, body] of refused) {
    const answer = await api(ana.page, path, method, body)
    assert.ok([403, 404].includes(answer.status), `${method} ${path} ${JSON.stringify(body)} of a member: ${answer.status}`)
  }
  assert.equal((await lab('/policy')).version, version)
  assert.deepEqual(ana.faults, [])
  await ana.context.close()
})

// In this order, and no further than the first that fails: what comes later builds upon it.
try {
  await test('the page', async (t) => {
    for (const {name, run} of steps) {
      let error
      await t.test(name, async (sub) => {
        try {
          await run(sub)
          assert.deepEqual(admin.faults, [])
        } catch (err) {
          error = err
          const shown = await page.locator('main').innerText().catch(() => 'nothing')
          throw new Error(`${err.message}\nThe page shows:\n${shown.slice(0, 1500)}`, {cause: err})
        }
      })
      if (error) return
    }
  })
} finally {
  await browser.close()
}
