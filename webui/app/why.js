// Why a flow takes its link: a drawer with the chain of reasons, drawn as a thread that is grey until a rule decides and then
// takes the strands of the links that were chosen.

import {ask, router} from './api.js'
import {h, icon, s, set, values} from './dom.js'
import {delay, loss, rate, shares} from './format.js'
import {drawn} from './links.js'
import {mark, named, offLine, strand} from './strands.js'
import {joined, t} from './text.js'

const phone = matchMedia('(max-width: 700px)')
const KNOT = 13 // px from the top of a reason to the middle of its knot
const MIDDLE = 14 // px from the left to the thread

let drawer = null
let opener = null // where the focus returns to
let asking = null

/**
 * Opens the drawer on a question: {device, to, port, proto} as the API wants them, flow (schema Flow) if it is about a running
 * one. from is the element that asked, found again by the row it marks.
 */
export async function openWhy(question, from) {
  build()
  asking?.abort()
  asking = new AbortController()
  opener?.closest('tr')?.removeAttribute('data-asked')
  opener = from
  from?.closest('tr')?.setAttribute('data-asked', '')
  show(question.to, h('p', {class: 'dim', 'aria-busy': 'true'}, t('why.loading')))
  if (!drawer.open) {
    if (phone.matches) drawer.showModal()
    else drawer.show()
    document.body.classList.add('asking')
  }
  try {
    const {flow, ...query} = question
    const answer = await ask('/why', {query, signal: asking.signal})
    show(titleOf(answer), explain(answer, flow))
    connect()
  } catch (err) {
    if (!asking.signal.aborted) show(question.to, h('p', {class: 'problem', role: 'alert'}, icon('stop', true), err.message))
  }
}

export function closeWhy() {
  drawer?.close()
}

/** Whether the drawer is open beside a list that stays in use. */
export const whyOpen = () => Boolean(drawer?.open)

function build() {
  if (drawer) return
  const title = h('h2', {id: 'why-title', tabindex: -1, autofocus: true})
  const body = h('div', {class: 'body'})
  drawer = h('dialog', {class: 'drawer', 'aria-labelledby': 'why-title'},
    h('div', {class: 'row t'}, h('div', {class: 'sp'}, h('p', {class: 's b dim3'}, t('why')), title),
      h('button', {class: 'btn ghost icon', type: 'button', 'aria-label': t('close'), onclick: closeWhy}, icon('close'))), body)
  drawer.title2 = title
  drawer.body = body
  addEventListener('keydown', (e) => e.key === 'Escape' && closeWhy())
  drawer.addEventListener('click', (e) => e.target === drawer && closeWhy()) // on the scrim
  drawer.addEventListener('close', () => {
    asking?.abort()
    document.body.classList.remove('asking')
    opener?.closest('tr')?.removeAttribute('data-asked')
    if (opener?.isConnected) opener.focus()
  })
  new ResizeObserver(connect).observe(body)
  document.body.append(drawer)
}

function show(title, ...content) {
  set(drawer.title2, title)
  set(drawer.body, content)
}

const thing = (a) => a.to.host || a.to.addr

function linkNames(a) {
  return [...new Set(a.families.flatMap((f) => f.links.map((l) => l.link)))]
}

function titleOf(a) {
  const names = linkNames(a)
  if (a.blocked) return t('why.blocked', {thing: thing(a)})
  if (!names.length) return t('why.nolink', {thing: thing(a)})
  const balanced = a.families.some((f) => f.links.length > 1)
  return t(balanced ? 'why.balanced' : 'why.uses', {thing: thing(a), links: joined(names)})
}

function explain(a, flow) {
  const aspects = a.blocked ? ['filter', 'steer', 'qos', 'log'] : ['steer', 'filter', 'qos', 'log']
  const deciding = a.blocked ? 'filter' : 'steer'
  const used = linkNames(a).map((n) => router.linkByName(n)).filter(Boolean).map(drawn)
  return [
    h('p', {class: 'lede'}, sentences(a.sentence)),
    flow && note(a, flow),
    aspects.map((aspect) => {
      const reasons = a.reasons.filter((r) => r.aspect === aspect)
      if (aspect !== deciding && (!reasons.length || a.blocked && aspect === 'steer')) return null
      return [h('h3', {class: 'above'}, t('why.' + aspect)), chain(reasons, aspect === 'steer' && !a.blocked ? used : []),
        aspect === deciding && result(a, used)]
    }),
    facts(a),
    h('h3', {class: 'above'}, t('why.running')),
    a.running.length ? h('ul', {class: 'plain'}, a.running.slice(0, 8).map(running)) : h('p', {class: 's dim'}, t('why.runningNone')),
  ]
}

/** What is different for a flow that runs already. */
function note(a, flow) {
  const words = flow.inbound ? t('why.inbound', {link: flow.link})
    : !a.blocked && flow.link && !linkNames(a).includes(flow.link) ? t('why.kept', {link: flow.link}) : ''
  return words && h('p', {class: 'aside s'}, icon('info', true), h('span', null, words))
}

/** The reasons in their order, along the thread. */
function chain(reasons, links) {
  const decider = reasons.findIndex((r) => r.outcome === 'decided' || r.outcome === 'clamped')
  return h('ol', {class: 'chain'}, reasons.map((r, i) => {
    const over = r.outcome === 'overruled'
    const title = r.tier === 'built-in' ? t('why.builtIn') : t('why.' + r.tier, {name: r.name || r.rule, owner: ownerName(r.owner)})
    return h('li', {class: r.outcome}, gutter(reasons, i, decider, links),
      h('div', null, h('span', {class: 'n num', 'aria-hidden': 'true'}, i + 1), ' ',
        h(over ? 's' : 'span', {class: 'b'}, title), ' ',
        r.outcome !== 'no-effect' && h('span', {class: i === decider ? 'tell strong' : 'tell'}, t('why.' + r.outcome))),
      h('p', {class: 's dim'}, sentences(r.text)))
  }))
}

/** Reasons are said in the middle of other sentences, too: here each begins with a capital. */
const sentences = (words) => words.replace(/(^|\. )the /g, '$1The ')

const ownerName = (id) => (id ? id[0].toUpperCase() + id.slice(1) : '')

/** Where the strands of n links run beside the thread's middle, and how wide. */
const lanes = (links) => links.map((l, i) => ({link: l, width: links.length > 2 ? 5 : 7, x: MIDDLE + (i - (links.length - 1) / 2) * (links.length > 2 ? 7 : 10)}))

/** The piece of thread beside one reason. Its height is the reason's own, so lines end in percent. */
function gutter(reasons, i, decider, links) {
  const out = []
  const grey = (y1, y2) => out.push(s('line', {class: 'thread', x1: MIDDLE, x2: MIDDLE, y1, y2}))
  const after = decider >= 0 && i > decider
  if (!after && i > 0) grey(0, KNOT)
  if (!after && i !== decider && i < reasons.length - 1) grey(KNOT, '100%')
  // No path knows percent: the strand is a very long one, cut by the picture's edge.
  if (decider >= 0 && i >= decider) {
    for (const {link, width, x} of lanes(links)) {
      const d = i === decider ? `M${MIDDLE} ${KNOT}C${MIDDLE} ${KNOT + 14} ${x} ${KNOT + 10} ${x} ${KNOT + 24}V4000` : `M${x} 0V4000`
      out.push(link.off ? offLine(d) : strand(d, link.id, width))
    }
  }
  if (i === decider) {
    out.push(s('circle', {class: 'knot full', cx: MIDDLE, cy: KNOT, r: 10}), s('path', {class: 'tick', d: `M${MIDDLE - 4.5} ${KNOT + 0.5}l3 3 6-6.500`}))
  } else if (!after) {
    out.push(s('circle', {class: 'knot', cx: MIDDLE, cy: KNOT, r: 5.5}))
  }
  return s('svg', {class: 'gutter', 'aria-hidden': 'true'}, out)
}

/** The links that come out, for each family or for both at once. */
function result(a, used) {
  if (a.blocked) return null
  const key = (f) => f.links.map((l) => l.link + l.share.toFixed(3) + l.lent).join()
  const groups = a.families.length === 2 && key(a.families[0]) === key(a.families[1])
    ? [{name: t('why.families'), ...a.families[0]}] : a.families.map((f) => ({name: t('why.family', {n: f.family}), ...f}))
  return [
    s('svg', {class: 'fan', 'aria-hidden': 'true', 'data-links': used.map((l) => l.id).join(' '), 'data-off': used.map((l) => (l.off ? 1 : 0)).join(' ')}),
    groups.map((g) => {
      const part = shares(g.links.map((l) => l.share))
      return h('div', {class: 'outcome'},
        g.links.length ? h('ul', {class: 'boxes'}, g.links.map((l, i) => box(l, g.links.length > 1 ? t('why.share', {share: part[i]}) : '')))
          : h('p', {class: 'problem'}, icon('stop', true), t('why.refused')),
        h('p', {class: 's dim'}, h('span', {class: 'b'}, g.name + (g.addr ? ` (${g.addr})` : '') + ': '), g.why))
    }),
  ]
}

function box(share, part) {
  const l = router.linkByName(share.link)
  const state = l ? drawn(l) : null
  return h('li', {class: 'box', 'data-link': l?.id}, state ? named(state) : h('span', {class: 'b'}, share.link),
    part && h('span', {class: 's num'}, part), share.lent && h('span', {class: 'tell'}, t('why.lent')),
    l && h('span', {class: 's dim num'}, t('why.linkState', {delay: delay(l.rttMs), loss: loss(l.loss)})))
}

/** Leads each strand from the thread to its box, once the boxes have their places. */
function connect() {
  const fan = drawer?.body.querySelector('.fan')
  if (!fan) return
  const left = fan.getBoundingClientRect().left
  const boxes = new Map([...drawer.body.querySelectorAll('.box')].reverse().map((b) => [b.dataset.link, b.getBoundingClientRect().left - left]))
  const off = fan.dataset.off.split(' ')
  const links = fan.dataset.links.split(' ').filter(Boolean).map((id, i) => ({id: Number(id), off: off[i] === '1'}))
  const height = 12 + links.length * 9
  fan.setAttribute('height', height)
  set(fan, lanes(links).map(({link, width, x}, i) => {
    const goal = (boxes.get(String(link.id)) ?? 0) + 22
    const y = height - 6 - i * 9 - 4
    const d = Math.abs(goal - x) < 16 ? `M${x} 0C${x} ${height / 2} ${goal} ${height / 2} ${goal} ${height}`
      : `M${x} 0V${y - 7}Q${x} ${y} ${x + 7} ${y}H${goal - 7}Q${goal} ${y} ${goal} ${y + 7}V${height}`
    return link.off ? offLine(d) : strand(d, link.id, width)
  }))
}

function facts(a) {
  const el = h('dl', {class: 'pairs facts'})
  const rows = [[t('why.choice'), a.blocked ? '' : a.choice], [t('why.known'), a.known && a.certain ? t('why.certain', {text: a.known, n: a.certain}) : a.known],
    [t('why.class'), a.class], [t('why.asked'), a.to.port ? t('why.port', {proto: a.to.proto.toUpperCase(), port: a.to.port}) : a.to.proto.toUpperCase()]]
  values(el, rows.filter(([, v]) => v))
  return el
}

function running(f) {
  const l = router.linkByName(f.link)
  return h('li', {class: 'li'}, h('span', {class: 'sp cut'}, f.host || f.dst), l && h('span', {class: 'named'}, mark(l.id, drawn(l).off), l.name),
    h('span', {class: 'num s nw'}, rate(f.rateDown + f.rateUp)))
}
