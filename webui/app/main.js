// The page's frame: navigation, the views by the address' hash, and the line that tells when the router is not heard.

import {activity} from './activity.js'
import {router} from './api.js'
import {byWidth} from './chart.js'
import {devices} from './devices.js'
import {attr, h, icon, s, set, text} from './dom.js'
import {flows} from './flows.js'
import {clock} from './format.js'
import {home} from './home.js'
import {drawn} from './links.js'
import {rules} from './rules.js'
import {braid, fillings, logo} from './strands.js'
import {t} from './text.js'
import {closeWhy} from './why.js'

const VIEWS = {home, devices, flows, rules, activity}
const calm = matchMedia('(prefers-reduced-motion: reduce)')
const phone = matchMedia('(max-width: 700px)')

const main = h('main', {class: 'main', id: 'main', tabindex: -1})
const rail = s('svg', {class: 'rail', 'aria-hidden': 'true'})
const items = Object.keys(VIEWS).map((name) => h('a', {class: 'nav', href: '#/' + name, 'data-name': name}, icon(name), h('span', null, t('nav.' + name))))
const pageName = h('span', {class: 'b'})
const lostWords = h('span', {class: 'sp'})
const lost = h('div', {class: 'lost', role: 'status', hidden: true}, lostWords, h('button', {class: 'btn sm', type: 'button', onclick: () => router.retry()}, t('retry')))

document.body.append(fillings(),
  h('a', {class: 'skip', href: '#main', onclick: (e) => (e.preventDefault(), main.focus())}, t('skip')),
  h('div', {class: 'app'},
    h('nav', {class: 'side', 'aria-label': t('nav')}, h('div', {class: 'brand'}, logo(30), h('span', null, t('app'))), items, rail),
    h('div', {class: 'page'}, h('div', {class: 'top'}, logo(26), pageName), lost, main)))

let leave = new AbortController()
let shown = ''

/** Shows the view that the address names. */
function route() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?')
  const name = Object.hasOwn(VIEWS, path) ? path : 'home'
  leave.abort()
  leave = new AbortController()
  closeWhy()
  const first = !shown
  shown = name
  set(main, VIEWS[name](leave.signal, new URLSearchParams(query)))
  document.title = name === 'home' ? t('app') : `${t('nav.' + name)} · ${t('app')}`
  text(pageName, name === 'home' ? t('app') : t('nav.' + name))
  for (const a of items) attr(a, 'aria-current', a.dataset.name === name ? 'page' : null)
  slide()
  if (first) return
  scrollTo(0, 0)
  main.querySelector('h1')?.focus({preventScroll: true})
}

// The rail mirrors the real links: up to three strands that weave where we are.
let at = null // px along the rail

function slide() {
  const goal = here()
  const start = performance.now()
  const begin = at ?? goal
  if (calm.matches || begin === goal) return drawRail(goal)
  const step = (now) => {
    const u = Math.min(1, (now - start) / 240)
    drawRail(begin + (goal - begin) * (1 - (1 - u) ** 3))
    if (u < 1 && goal === here()) requestAnimationFrame(step)
  }
  requestAnimationFrame(step)
}

/** The middle of the current item, along the rail. */
function here() {
  const a = items.find((i) => i.dataset.name === shown)
  return phone.matches ? a.offsetLeft + a.offsetWidth / 2 : a.offsetTop + a.offsetHeight / 2
}

function drawRail(where) {
  at = where
  const across = phone.matches
  const length = across ? innerWidth : innerHeight
  attr(rail, 'viewBox', across ? `0 0 ${length} 16` : `0 0 22 ${length}`)
  attr(rail, 'width', across ? length : 22)
  attr(rail, 'height', across ? 16 : length)
  const links = byWidth(router.links).slice(0, 3).map(drawn)
  const strands = links.map((l) => ({id: l.id, off: l.off, width: across ? 2.4 : 2.6}))
  set(rail, across && s('rect', {y: 8, width: length, height: 8, fill: 'var(--surface)'}),
    strands.length > 0 && braid(strands, {length, amplitude: across ? 4 : 5, turns: 2, from: where - 44, to: where + 44, vertical: !across,
      centre: across ? 8 : 11, background: across ? 'var(--surface)' : 'var(--bg)', casing: 1}))
}

let railLook = ''
function railLinks() {
  const look = router.links.map((l) => `${l.id} ${drawn(l).off} ${l.capacityDown}`).join()
  if (look === railLook) return
  railLook = look
  drawRail(here())
}

function connection() {
  const gone = router.connection === 'gone'
  lost.hidden = !router.lost
  text(lostWords, gone ? t('lost.gone') : t('lost.looking', {time: router.at ? clock(router.at) : t('unknown')}))
  lost.lastChild.hidden = !gone
  document.body.classList.toggle('stale', router.lost)
}

router.addEventListener('live', railLinks)
router.addEventListener('status', railLinks)
router.addEventListener('connection', connection)
addEventListener('hashchange', route)
addEventListener('resize', () => drawRail(here()))
route()
router.start()
