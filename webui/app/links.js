// Links as cards: how each one is, what it carries, and what is left of its data.

import {spark} from './chart.js'
import {ask, listen, poll, router} from './api.js'
import {attr, h, keyed, pill, set, text, values} from './dom.js'
import {amount, delay, jitter, loss, number, rate, when} from './format.js'
import {mark} from './strands.js'
import {t} from './text.js'

/** How a link is, in one word with its colour. off: it carries nothing and is drawn as a dashed line. */
export function linkState(l) {
  if (l.state === 'down') return {kind: 'bad', words: t('state.down'), off: true}
  if (l.state === 'captive') return {kind: 'warn', words: t('state.captive'), off: true}
  if (l.role === 'never') return {kind: 'info', words: t('state.unused')}
  if (l.quota?.state === 'spent') return {kind: 'bad', words: t('state.spent'), off: !l.usable}
  if (!l.usable) return {kind: 'warn', words: t('state.unusable'), off: true}
  if (l.state === 'degraded') return {kind: 'warn', words: t('state.degraded')}
  if (l.quota?.state === 'warn') return {kind: 'warn', words: t('state.low')}
  if (l.role === 'backup' && !l.flows) return {kind: 'info', words: t('state.standby')}
  return {kind: 'ok', words: t('state.up')}
}

/** A link with what drawing needs to know. */
export const drawn = (l) => ({...l, off: linkState(l).off})

/** The cards of all links, kept up to date until the signal. */
export function linkCards(signal) {
  const el = h('div', {class: 'grid3'})
  const history = new Map() // samples by link id
  const none = h('p', {class: 'card empty'}, t('links.none'))
  function draw() {
    none.hidden = !(router.status && !router.links.length)
    keyed(el, router.links, (l) => l.id, card)
  }

  function card() {
    const title = h('span', {class: 'row sp'})
    const state = h('span')
    const reason = h('p', {class: 's dim two'})
    const numbers = h('dl', {class: 'kv'})
    const delays = h('div', {class: 'row between ruled'})
    const quota = h('div', {class: 'quota'})
    const about = h('dl', {class: 'pairs'})
    const flows = h('a', {class: 's'})
    const root = h('section', {class: 'card wan'}, h('div', {class: 'ch'}, title, state), reason, numbers, delays, quota,
      h('details', null, h('summary', null, t('details')), about, flows))
    let was = ''
    return {
      el: root,
      update(l) {
        const st = linkState(l)
        const look = JSON.stringify([st, l.name])
        if (look !== was) {
          was = look
          set(title, mark(l.id, st.off), h('h3', {class: 'name'}, l.name))
          set(state, pill(st.kind, st.words))
          attr(root, 'aria-label', `${l.name}: ${st.words}`)
        }
        text(reason, why(l))
        values(numbers, [[t('link.down'), rate(l.rateDown)], [t('link.up'), rate(l.rateUp)],
          [t('link.delay'), delay(l.rttMs)], [t('link.loss'), loss(l.loss)]])
        const h5 = history.get(l.id)
        if (h5 !== delays.shown) {
          delays.shown = h5
          set(delays, h('span', {class: 'm dim3'}, t('link.history')), line5(l, h5 ?? []))
        }
        meter(quota, l.quota)
        values(about, details(l))
        text(flows, t('link.flows', {n: l.flows}))
        attr(flows, 'href', '#/flows?link=' + encodeURIComponent(l.name))
      },
    }
  }

  listen(signal, 'live', draw)
  listen(signal, 'status', draw)
  poll(signal, 10000, async () => {
    for (const l of await ask('/links', {signal})) history.set(l.id, l.history)
    draw()
  })
  draw()
  return [none, el]
}

/** Role, the state's reason and since when. */
function why(l) {
  const since = when(new Date(l.since))
  const reason = l.reason ? l.reason[0].toUpperCase() + l.reason.slice(1).replace(/\.$/, '') : ''
  return `${t('role.' + l.role)}. ${reason ? t('link.since', {reason, time: since}) : t('link.sinceBare', {time: since})}`
}

function line5(l, samples) {
  const values = samples.map((x) => (x.rttMs > 0 && x.loss < 1 ? x.rttMs : null))
  const known = values.filter((v) => v !== null)
  const label = known.length ? t('link.historyLabel', {link: l.name, min: delay(Math.min(...known)), max: delay(Math.max(...known))}) : ''
  return spark(values, l.id, label)
}

function meter(el, quota) {
  attr(el, 'hidden', !quota)
  if (!quota) return
  const part = quota.limit ? Math.min(1, quota.used / quota.limit) : 0
  const key = [quota.used, quota.limit, quota.resets, quota.state].join()
  if (el.shown === key) return
  el.shown = key
  set(el, h('div', {class: 'row between s'}, h('span', {class: 'num'}, t('link.quota', {used: amount(quota.used), limit: amount(quota.limit)})),
    h('span', {class: 'dim'}, t('link.resets', {time: when(new Date(quota.resets))}))),
  h('div', {class: 'meter ' + quota.state, 'aria-hidden': 'true'}, h('i', {vars: {'--part': number(part * 100, 1) + '%'}})))
}

function details(l) {
  const list = (a, b) => [a, b].filter(Boolean).join(', ') || t('unknown')
  const capacity = l.capacityDown || l.capacityUp ? t('link.capacityValue', {down: rate(l.capacityDown), up: rate(l.capacityUp)}) : t('unknown')
  return [[t('link.device'), l.device], [t('link.address'), list(l.address4, l.address6)], [t('link.gateway'), list(l.gateway4, l.gateway6)],
    [t('link.jitter'), jitter(l.jitterMs)], [t('link.capacity'), capacity], [t('link.metered'), t(l.metered ? 'link.yes' : 'link.no')]]
}
