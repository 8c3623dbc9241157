// Rules: the policy as text, what the router says about it, and a place to change it, check the change and put it in force.

import {ask, listen, router} from './api.js'
import {attr, h, icon, pill, set, text} from './dom.js'
import {when} from './format.js'
import {toast} from './toast.js'
import {t} from './text.js'

// What is being edited; it survives leaving the page's section and a lost connection. based is the version it began from.
const draft = {text: null, based: 0}

addEventListener('beforeunload', (e) => draft.text !== null && e.preventDefault())

export function rules(signal) {
  let policy = null
  const about = h('p', {class: 's dim num'})
  const box = h('div', {class: 'col'})
  const trouble = h('p', {class: 'problem', role: 'alert', hidden: true})

  async function load() {
    try {
      policy = await ask('/policy', {signal})
      trouble.hidden = true
      draw()
    } catch (err) {
      if (signal.aborted) return
      trouble.hidden = false
      set(trouble, icon('stop', true), h('span', {class: 'sp'}, t('error.load', {cause: err.message})), h('button', {class: 'btn sm', type: 'button', onclick: load}, t('retry')))
    }
  }

  function draw() {
    const values = {version: policy.version, time: when(new Date(policy.changed)), by: policy.by}
    text(about, t(policy.by ? 'rules.by' : 'rules.version', values))
    if (draft.text === null) set(box, reader(policy, edit), remarks(policy.warnings, policy.findings, true))
    else set(box, editor(policy, signal, done))
  }

  function edit() {
    draft.text = policy.text
    draft.based = policy.version
    draw()
    box.querySelector('textarea').focus()
  }

  /** The editor is left: with the policy that is now in force and the one that it replaced, or null if nothing was saved. */
  function done(saved, before) {
    draft.text = null
    if (saved) policy = saved
    draw()
    if (!saved) return
    const {text: old} = before
    toast(t('rules.saved', {version: saved.version}), t('undo'), async () => {
      try {
        const back = await ask('/policy', {method: 'PUT', body: old, query: {version: saved.version, by: t('rules.by.page')}})
        toast(t('rules.undone', {version: back.version}))
        if (!signal.aborted) load()
      } catch (err) {
        toast(t('rules.undoFailed', {cause: err.message}))
      }
    })
  }

  listen(signal, 'happened', (e) => e.kind === 'policy' && draft.text === null && load())
  load()
  return [h('header', {class: 'head'}, h('div', {class: 'sp'}, h('h1', {tabindex: -1}, t('rules.title')), h('p', {class: 'lede'}, t('rules.lede')), about)), trouble, box]
}

const lineCount = (value) => value.split('\n').length

/** Line numbers as one text; those of marked lines stand out. */
function numbers(count, marked = new Set()) {
  const out = []
  let run = ''
  for (let n = 1; n <= count; n++) {
    if (marked.has(n)) {
      out.push(run, h('b', null, n))
      run = '\n'
    } else run += n + '\n'
  }
  return [...out, run]
}

function reader(policy, edit) {
  const shown = policy.text.replace(/\n$/, '')
  const head = h('div', {class: 'ch'}, h('h2', {class: 'sp'}, t('rules.text')), h('button', {class: 'btn', type: 'button', onclick: edit}, icon('edit'), t('rules.edit')))
  if (!shown.trim()) return h('section', {class: 'card'}, head, h('p', {class: 'dim'}, t('rules.empty')))
  return h('section', {class: 'card'}, head, h('div', {class: 'code', role: 'region', tabindex: 0, 'aria-label': t('rules.text')},
    h('pre', {class: 'numbers', 'aria-hidden': 'true'}, numbers(lineCount(shown))), h('pre', null, shown)))
}

function remarks(warnings, findings, say) {
  const part = (title, list, kind) => list.length && h('section', {class: 'card'}, h('div', {class: 'ch'}, h('h2', null, title)),
    h('ul', {class: 'plain'}, list.map((w) => h('li', {class: 'li'}, h('span', {class: 'badge ' + kind}, icon(kind === 'warn' ? 'warn' : 'info')), h('span', {class: 'sp anywhere'}, w)))))
  if (!warnings.length && !findings.length) return say ? h('p', {class: 's dim good'}, icon('check', true), t('rules.clean')) : null
  return [part(t('rules.warnings'), warnings, 'warn'), part(t('rules.findings'), findings, 'info')]
}

/** A problem's place, if its words begin with one: "3:7: …" or "file.yaml:3:7: …". */
export function place(problem) {
  const m = /^(?:[^\s:]*:)?(\d+):(\d+):\s*/.exec(problem)
  return m ? {line: Number(m[1]), column: Number(m[2]), words: problem.slice(m[0].length)} : {line: 0, column: 0, words: problem}
}

function editor(policy, signal, done) {
  const gutter = h('pre', {class: 'numbers', 'aria-hidden': 'true'})
  const area = h('textarea', {'aria-label': t('rules.editing'), wrap: 'off', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', autocorrect: 'off'})
  const found = h('div', {class: 'col', role: 'status'})
  const hint = h('span', {class: 's dim sp'})
  const buttons = {
    check: h('button', {class: 'btn', type: 'button', onclick: () => work(buttons.check, t('rules.checking'), look)}, t('rules.check')),
    save: h('button', {class: 'btn pri', type: 'button', onclick: () => work(buttons.save, t('rules.saving'), put)}, t('rules.save')),
    cancel: h('button', {class: 'btn ghost', type: 'button', onclick: () => done(null)}, t('rules.cancel')),
  }
  let busy = false
  let marked = new Set()
  let lines = 0
  area.value = draft.text
  area.addEventListener('input', () => {
    draft.text = area.value
    marked = new Set()
    paint(true)
  })
  area.addEventListener('scroll', () => { gutter.scrollTop = area.scrollTop })

  function paint(force) {
    const n = lineCount(area.value)
    if (force || n !== lines) set(gutter, numbers(n, marked))
    lines = n
    gutter.scrollTop = area.scrollTop
    able()
  }

  function able() {
    const changed = area.value !== policy.text
    for (const b of [buttons.check, buttons.save]) b.disabled = busy || router.lost
    text(hint, router.lost ? t('lost.action') : changed ? t('rules.unsaved') : '')
    attr(hint, 'class', changed && !router.lost ? 's b sp changed' : 's dim sp')
  }

  async function work(button, doing, f) {
    const words = button.textContent
    busy = true
    able()
    text(button, doing)
    try {
      await f()
    } catch (err) {
      if (err.status === 409) conflict()
      else if (err.problems?.length) problems(err.problems)
      else set(found, h('p', {class: 'problem'}, icon('stop', true), err.message))
    }
    busy = false
    text(button, words)
    able()
  }

  async function put() {
    done(await ask('/policy', {method: 'PUT', body: area.value, query: {version: draft.based, by: t('rules.by.page')}}), policy)
  }

  async function look() {
    const answer = await ask('/policy/check', {method: 'POST', body: area.value})
    if (answer.problems.length) return problems(answer.problems)
    marked = new Set()
    paint(true)
    const n = answer.changes.length
    set(found, h('section', {class: 'card'}, h('div', {class: 'ch'}, h('h2', {class: 'sp'}, n ? t('rules.changes', {n}) : t('rules.same')), pill('ok', t('rules.fine'))), changes(answer.changes)),
      remarks(answer.warnings, answer.findings))
  }

  function problems(list) {
    const places = list.map(place)
    marked = new Set(places.map((p) => p.line))
    paint(true)
    set(found, h('section', {class: 'card'}, h('div', {class: 'ch'}, h('h2', null, t('rules.problems', {n: list.length}))),
      h('ul', {class: 'plain'}, places.map((p) => h('li', {class: 'li'}, h('span', {class: 'badge bad'}, icon('stop')), h('span', {class: 'sp anywhere'}, p.words),
        p.line > 0 && h('button', {class: 'btn sm', type: 'button', onclick: () => jump(p.line)}, t('rules.line', {line: p.line})))))))
  }

  function jump(n) {
    const all = area.value.split('\n')
    const start = all.slice(0, n - 1).reduce((a, l) => a + l.length + 1, 0)
    area.focus()
    area.setSelectionRange(start, start + (all[n - 1]?.length ?? 0))
    area.scrollTop = (n - 4) * parseFloat(getComputedStyle(area).lineHeight)
  }

  function conflict() {
    set(found, h('section', {class: 'card'}, h('p', {class: 'problem'}, icon('warn', true), h('span', {class: 'sp'}, t('rules.conflict')),
      h('button', {class: 'btn sm', type: 'button', onclick: () => work(buttons.check, t('rules.checking'), rebase)}, t('rules.takeNew')))))
  }

  /** Goes on from the version that is in force by now; the check then shows every difference to it. */
  async function rebase() {
    const now = await ask('/policy')
    draft.based = now.version
    policy = now
    await look()
  }

  listen(signal, 'connection', able)
  set(found)
  queueMicrotask(() => paint(true))
  return [h('section', {class: 'card edit'}, h('div', {class: 'ch'}, h('h2', {class: 'sp'}, t('rules.editing'))), h('div', {class: 'code'}, gutter, area),
    h('div', {class: 'row w bar'}, hint, buttons.cancel, buttons.check, buttons.save)), found]
}

function changes(list) {
  return h('ul', {class: 'plain'}, list.map((c) => h('li', {class: 'li t'}, h('span', {class: 'tell'}, t('rules.' + c.what)),
    h('div', {class: 'sp'}, h('div', {class: 'b anywhere'}, [c.entry, c.name || c.id].filter(Boolean).join(' ')),
      c.what === 'changed' && c.fields.map((f) => h('div', {class: 's anywhere'}, h('span', {class: 'dim'}, f.field + ': '),
        h('del', null, f.before.trim() || t('rules.nothing')), ' → ', h('ins', null, f.after.trim() || t('rules.nothing'))))))))
}
