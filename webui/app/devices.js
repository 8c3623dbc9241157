// Devices: who is in the house, what each one uses now.

import {listen, router} from './api.js'
import {attr, h, keyed, set, table, text, values} from './dom.js'
import {number, rate, when} from './format.js'
import {t} from './text.js'

/** Below this nobody would say that a device is doing something: a few background packets, in bits per second. */
const QUIET = 2e3

const now = (d) => router.rates[d.id] ?? {down: d.rateDown, up: d.rateUp}
const used = (d) => now(d).down + now(d).up

export function devices(signal) {
  const lede = h('p', {class: 'lede'})
  const body = h('tbody', {role: 'rowgroup'})
  const list = h('section', {class: 'card flush cards'},
    table(t('devices.title'), [[t('devices.name')], [t('devices.owner')], [t('devices.addresses')], [t('devices.now'), 'r'], [t('devices.flows'), 'r']], body))
  const empty = h('p', {class: 'card empty'}, t('devices.none'))

  function draw() {
    const all = router.devices
    empty.hidden = !(router.status && !all.length)
    list.hidden = !all.length
    text(lede, all.length ? t('devices.lede', {n: all.length, active: all.filter((d) => used(d) >= QUIET).length}) : '')
    // By name, so that a row stays where it was found; who is new comes first.
    const sorted = [...all].sort((a, b) => a.named - b.named || a.name.localeCompare(b.name))
    keyed(body, sorted, (d) => d.id, row)
  }
  listen(signal, 'devices', draw)
  listen(signal, 'live', draw)
  draw()
  return [h('header', {class: 'head'}, h('div', {class: 'sp'}, h('h1', {tabindex: -1}, t('devices.title')), lede)), list, empty]
}

function row() {
  const letter = h('span', {class: 'av', 'aria-hidden': 'true'})
  const name = h('span', {class: 'b'})
  const fresh = h('span', {class: 'pill warn'}, t('devices.new'))
  const vendor = h('div', {class: 's dim'})
  const owner = h('td', {role: 'cell'})
  const addrs = h('td', {role: 'cell', class: 'num s wide'})
  const rates = h('td', {role: 'cell', class: 'r rates'})
  const flows = h('a', {class: 'num'})
  const about = h('dl', {class: 'pairs'})
  const el = h('tr', {role: 'row'},
    h('td', {role: 'cell', class: 'lead'}, h('div', {class: 'row t'}, letter, h('div', {class: 'sp'},
      h('div', {class: 'row w tight'}, name, fresh), vendor, h('details', null, h('summary', null, t('details')), about)))),
    owner, addrs, rates, h('td', {role: 'cell', class: 'r'}, flows))
  return {
    el,
    update(d) {
      text(letter, [...d.name][0]?.toUpperCase() ?? '?')
      text(name, d.name)
      fresh.hidden = d.named
      text(vendor, d.vendor || t('devices.unvendor'))
      text(owner, d.owner || t('devices.nobody'))
      attr(owner, 'data-label', t('devices.owner'))
      const shown = d.addrs.slice(0, 2).join('\n') + (d.addrs.length > 2 ? '\n' + t('devices.more', {n: d.addrs.length - 2}) : '')
      text(addrs, shown || t('unknown'))
      const r = now(d)
      const key = used(d) < QUIET ? '' : rate(r.down) + rate(r.up)
      if (rates.shown !== key) {
        rates.shown = key
        set(rates, key ? [h('div', {class: 'b'}, rate(r.down), h('span', {class: 's dim'}, ' ' + t('rate.down'))), h('div', {class: 's dim'}, rate(r.up) + ' ' + t('rate.up'))]
          : h('span', {class: 'dim'}, t('devices.quiet')))
      }
      text(flows, number(d.flows))
      attr(flows, 'href', '#/flows?device=' + encodeURIComponent(d.id))
      attr(flows, 'aria-label', t('devices.flowsOf', {device: d.name}) + ': ' + d.flows)
      attr(flows, 'data-unit', t('link.flows', {n: d.flows}).replace(/^\d+ ?/, ''))
      values(about, [[t('devices.macs'), d.macs.join(', ') || t('unknown')], [t('devices.addresses'), d.addrs.join(', ') || t('unknown')],
        [t('devices.hostname'), d.hostname || t('unknown')], [t('devices.interface'), d.interface || t('unknown')],
        [t('devices.first'), when(new Date(d.firstSeen))], [t('devices.seen'), when(new Date(d.lastSeen))]])
    },
  }
}
