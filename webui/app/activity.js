// Activity: what happened, by day.

import {ask, listen, router} from './api.js'
import {h, icon, set, text} from './dom.js'
import {clock, day, daysAgo} from './format.js'
import {t} from './text.js'

const KEPT = 300

export function activity(signal) {
  let events = []
  const list = h('div', {class: 'col', 'aria-live': 'polite', 'aria-relevant': 'additions'}, h('p', {class: 'dim', 'aria-busy': 'true'}, t('home.loading')))
  const trouble = h('p', {class: 'problem', role: 'alert', hidden: true})

  function draw() {
    const days = new Map()
    for (const e of events) {
      const at = new Date(e.at)
      const key = daysAgo(at)
      days.set(key, [...(days.get(key) ?? []), {...e, at}])
    }
    set(list, events.length ? [...days.values()].map((all) => h('section', {class: 'card'}, h('div', {class: 'ch'}, h('h2', null, day(all[0].at))),
      h('ol', {class: 'plain'}, all.map(one)))) : h('p', {class: 'card empty'}, t('activity.none')))
  }

  async function load() {
    try {
      events = await ask('/events', {signal, query: {limit: KEPT}})
      trouble.hidden = true
      draw()
    } catch (err) {
      if (signal.aborted) return
      trouble.hidden = false
      text(trouble, t('error.load', {cause: err.message}))
    }
  }

  listen(signal, 'happened', (e) => {
    events = [e, ...events].slice(0, KEPT)
    draw()
  })
  // What happened while the stream was lost was not heard.
  listen(signal, 'connection', () => router.lost || load())
  load()
  return [h('header', {class: 'head'}, h('div', {class: 'sp'}, h('h1', {tabindex: -1}, t('activity.title')), h('p', {class: 'lede'}, t('activity.lede')))), trouble, list]
}

function one(e) {
  const kind = {warning: 'warn', error: 'bad'}[e.severity] ?? 'info'
  return h('li', {class: 'li t'}, h('time', {class: 'm dim3 num', datetime: e.at.toISOString()}, clock(e.at)),
    h('span', {class: 'badge ' + kind}, icon({warn: 'warn', bad: 'stop', info: KINDS[e.kind] ?? 'info'}[kind])), h('span', {class: 'sp anywhere'}, e.text))
}

const KINDS = {link: 'flows', device: 'devices', policy: 'rules', start: 'router'}
