// Flows: what runs now, over which link, with the reason one step away; and a form to ask about what does not run.

import {ask, listen, poll, router} from './api.js'
import {attr, h, icon, keyed, set, table, text} from './dom.js'
import {amount, number, rate} from './format.js'
import {drawn} from './links.js'
import {named} from './strands.js'
import {t} from './text.js'
import {openWhy, whyOpen} from './why.js'

const SHOWN = 200 // rows in the document at once
const ASKED = 1000 // flows that are asked for, so that a search finds more than what is shown

export function flows(signal, params) {
  const filter = {device: params.get('device') ?? '', link: params.get('link') ?? '', app: params.get('app') ?? '', text: params.get('text') ?? ''}
  const apps = new Set(filter.app ? [filter.app] : [])
  let found = []
  let order = []

  const count = h('p', {class: 'lede', role: 'status'})
  const body = h('tbody', {role: 'rowgroup', onkeydown: walk})
  const list = h('section', {class: 'card flush cards'}, table(t('flows.title'),
    [[t('flows.what')], [t('flows.uses')], [t('flows.now'), 'r'], [t('flows.total'), 'r'], [t('flows.why'), 'r']], body))
  const empty = h('div', {class: 'card empty', hidden: true})
  const trouble = h('p', {class: 'problem', role: 'alert', hidden: true})
  const pickers = {device: picker('device'), link: picker('link'), app: picker('app')}
  const search = h('input', {id: 'f-text', type: 'search', placeholder: t('flows.searchHint'), value: filter.text, autocomplete: 'off', spellcheck: 'false',
    oninput: () => change('text', search.value)})
  const form = h('form', {class: 'filters', role: 'search', onsubmit: (e) => e.preventDefault()},
    Object.values(pickers).map((p) => p.field), h('div', null, h('label', {class: 'lab', for: 'f-text'}, t('flows.search')), search))

  function picker(name) {
    const select = h('select', {id: 'f-' + name, onchange: () => change(name, select.value)})
    return {select, field: h('div', null, h('label', {class: 'lab', for: 'f-' + name}, t('flows.' + name)), select), was: ''}
  }

  function options() {
    const lists = {
      device: [...router.devices.map((d) => [d.id, d.name]), ['router', t('flows.router')]],
      link: router.links.map((l) => [l.name, l.name]),
      app: [...apps].sort().map((a) => [a, appName(a)]),
    }
    for (const [name, p] of Object.entries(pickers)) {
      const items = lists[name]
      if (filter[name] && !items.some(([id]) => id === filter[name])) items.push([filter[name], filter[name]])
      const look = JSON.stringify(items)
      if (look === p.was) continue
      p.was = look
      set(p.select, h('option', {value: ''}, t('flows.all')), items.map(([id, words]) => h('option', {value: id}, words)))
      p.select.value = filter[name]
    }
  }

  function change(name, value) {
    filter[name] = value
    const query = new URLSearchParams(Object.entries(filter).filter(([, v]) => v))
    history.replaceState(null, '', '#/flows' + (query.size ? '?' + query : ''))
    order = []
    if (name === 'text') draw()
    else again()
  }

  function clear() {
    for (const name of Object.keys(filter)) filter[name] = ''
    for (const p of Object.values(pickers)) p.select.value = ''
    search.value = ''
    change('text', '')
    again()
  }

  function draw() {
    const needle = filter.text.trim().toLowerCase()
    const matching = needle ? found.filter((f) => haystack(f).includes(needle)) : found
    const filtered = Boolean(needle || filter.device || filter.link || filter.app)
    // Under a pointing finger nothing moves: those who stay keep their places, newcomers come after them.
    const held = list.matches(':hover') || list.contains(document.activeElement) || whyOpen()
    const place = new Map(held ? order.map((id, i) => [id, i]) : [])
    const rank = (f) => place.get(f.id) ?? Infinity
    const sorted = held ? [...matching].sort((a, b) => rank(a) - rank(b) || 0) : matching
    const shown = sorted.slice(0, SHOWN)
    order = shown.map((f) => f.id)
    keyed(body, shown, (f) => f.id, row)
    list.hidden = !shown.length
    empty.hidden = shown.length > 0 || !trouble.hidden
    if (!empty.hidden) set(empty, h('p', null, t(filtered ? 'flows.noneMatch' : 'flows.none')), filtered && h('button', {class: 'btn', type: 'button', onclick: clear}, t('flows.clear')))
    const all = filtered ? matching.length : Math.max(router.flows, matching.length)
    text(count, shown.length < all ? t('flows.shown', {shown: number(shown.length), n: number(all)}) : t('flows.count', {n: all}))
  }

  const again = poll(signal, 2000, async () => {
    const {device, link, app} = filter
    const got = await ask('/flows', {signal, query: {device, link, app, limit: ASKED}})
    if (device !== filter.device || link !== filter.link || app !== filter.app) return void setTimeout(again)
    found = got
    for (const f of found) if (f.app) apps.add(f.app)
    trouble.hidden = true
    options()
    draw()
  }, (err) => {
    if (router.lost) return // the line at the top says it
    trouble.hidden = false
    text(trouble, t('error.load', {cause: err.message}))
  })
  listen(signal, 'devices', options)
  options()
  return [h('header', {class: 'head'}, h('div', {class: 'sp'}, h('h1', {tabindex: -1}, t('flows.title')), count)), tryOut(signal, filter.device), form, trouble, list, empty]
}

/** Up and down go from reason to reason, and take an open drawer along. */
function walk(e) {
  const step = {ArrowUp: 'previousElementSibling', ArrowDown: 'nextElementSibling'}[e.key]
  const next = step && e.target.closest('tr')?.[step]?.querySelector('.why')
  if (!next) return
  e.preventDefault()
  next.focus()
  if (whyOpen()) next.click()
}

/** An application's id as words; the catalogue's own names are not part of the interface yet. */
function appName(id) {
  return id.split('-').map((w) => w && w[0].toUpperCase() + w.slice(1)).join(' ')
}

const haystack = (f) => [f.host, f.app, f.category, f.dst, f.src, f.device, router.deviceName(f.device), f.link, f.proto].join(' ').toLowerCase()

/** "[2001:db8::1]:443" and "192.0.2.1:443" as address and port. */
export function endpoint(text) {
  const m = /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(text)
  return m && (text.startsWith('[') || text.split(':').length === 2) ? {addr: m[1], port: Number(m[2] ?? 0)} : {addr: text, port: 0}
}

function row(first) {
  let f = first
  const dst = endpoint(f.dst)
  const sign = h('span', {class: 'sign'})
  const what = h('div', {class: 'b anywhere'})
  const who = h('div', {class: 's dim anywhere'})
  const uses = h('td', {role: 'cell'})
  const now = h('td', {role: 'cell', class: 'r num'})
  const sofar = h('td', {role: 'cell', class: 'r num dim wide'})
  const button = h('button', {class: 'why', type: 'button', 'aria-haspopup': 'dialog',
    onclick: () => openWhy({device: f.device, to: f.host || dst.addr, port: dst.port, proto: f.proto, flow: f}, button)}, icon('why', true), t('why'))
  const el = h('tr', {role: 'row'}, h('td', {role: 'cell', class: 'lead'}, h('div', {class: 'row'}, sign, h('div', {class: 'sp'}, what, who))),
    uses, now, sofar, h('td', {role: 'cell', class: 'r act'}, button))
  let was = ''
  return {
    el,
    update(next) {
      f = next
      const link = router.linkByName(f.link)
      const l = link && drawn(link)
      const host = f.host || dst.addr
      const look = [f.app, f.category, f.host, f.link, l?.id, l?.off, f.lent, f.inbound, router.deviceName(f.device)].join('|')
      if (look !== was) {
        was = look
        set(sign, icon(f.category))
        text(what, f.app ? appName(f.app) : host)
        text(who, [router.deviceName(f.device), f.app ? host : '', f.proto.toUpperCase() + (dst.port ? ' ' + dst.port : '')].filter(Boolean).join(' · '))
        const extra = [f.lent && t('flows.lent'), f.inbound && t('flows.inbound')].filter(Boolean).join(', ')
        set(uses, f.link ? named(l ?? {name: f.link}) : h('span', {class: 'dim'}, t('flows.inside')), extra && h('div', {class: 's dim'}, extra))
        attr(button, 'aria-label', t('why.of', {thing: f.app ? appName(f.app) : host, link: f.link || t('flows.inside')}))
        button.hidden = !f.link && !f.device
      }
      const r = f.rateDown + f.rateUp
      text(now, r ? rate(r) : '0')
      text(sofar, amount(f.bytesDown + f.bytesUp))
    },
  }
}

/** The form that asks why for any destination. */
function tryOut(signal, about) {
  let chosen = about
  const device = h('select', {id: 't-device', required: true, onchange: () => { chosen = device.value }})
  const to = h('input', {id: 't-to', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', 'aria-describedby': 't-problem', maxlength: 253, placeholder: t('try.toHint')})
  const port = h('input', {id: 't-port', inputmode: 'numeric', value: '443', maxlength: 5, 'aria-describedby': 't-problem'})
  const proto = h('select', {id: 't-proto', onchange: () => { port.disabled = proto.value === 'icmp' }},
    ['tcp', 'udp', 'icmp', 'sctp'].map((p) => h('option', {value: p}, p.toUpperCase())))
  const problem = h('p', {class: 'problem', id: 't-problem', role: 'alert', hidden: true})
  const submit = h('button', {class: 'btn pri', type: 'submit'}, t('try.ask'))
  const field = (id, control, kind) => h('div', {class: kind}, h('label', {class: 'lab', for: id}, t('try.' + id.slice(2))), control)
  const form = h('form', {class: 'try', novalidate: true, onsubmit: send},
    field('t-device', device), field('t-to', to, 'to'), field('t-port', port, 'port'), field('t-proto', proto, 'port'), submit)
  let was = ''
  function fill() {
    const items = [...router.devices.map((d) => [d.id, d.name]), ['router', t('try.router')]]
    const look = JSON.stringify(items)
    if (look === was) return
    was = look
    set(device, items.map(([id, words]) => h('option', {value: id}, words)))
    device.value = items.some(([id]) => id === chosen) ? chosen : items[0][0]
  }
  function send(e) {
    e.preventDefault()
    const ports = proto.value !== 'icmp'
    const bad = !to.value.trim() ? to : ports && !(/^\d{1,5}$/.test(port.value) && port.value >= 1 && port.value <= 65535) ? port : null
    for (const el of [to, port]) attr(el, 'aria-invalid', el === bad ? 'true' : null)
    problem.hidden = !bad
    if (bad) {
      set(problem, icon('stop', true), t(bad === to ? 'try.missing' : 'try.badPort'))
      return bad.focus()
    }
    openWhy({device: device.value, to: to.value.trim(), port: ports ? port.value : '', proto: proto.value}, submit)
  }
  listen(signal, 'devices', fill)
  fill()
  return h('details', {class: 'card fold'}, h('summary', null, h('span', {class: 'b'}, t('try.title')), h('span', {class: 'dim'}, t('try.lede'))), form, problem)
}
