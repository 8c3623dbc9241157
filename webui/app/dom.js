// Building and changing the document. Whatever is given as content becomes text: nothing here parses markup, so that a name
// from the network can never become an element.

const SVG = 'http://www.w3.org/2000/svg'

/**
 * An element. Properties: on… functions listen, `vars` sets custom properties, everything else is an attribute
 * (true is present and empty; false, null and undefined are left out).
 */
export function h(tag, props, ...content) {
  return fill(document.createElement(tag), props, content)
}

/** An SVG element, made as h makes one. */
export function s(tag, props, ...content) {
  return fill(document.createElementNS(SVG, tag), props, content)
}

function fill(el, props, content) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === false || value === null || value === undefined) continue
    if (typeof value === 'function') el.addEventListener(name.slice(2), value)
    else if (name === 'vars') for (const [k, v] of Object.entries(value)) el.style.setProperty(k, v)
    else el.setAttribute(name, value === true ? '' : value)
  }
  el.append(...present(content))
  return el
}

function present(content) {
  return content.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false)
}

/** Replaces what is in el. */
export function set(el, ...content) {
  el.replaceChildren(...present(content))
}

/** Sets a text, if it is another one: a selection and a screen reader are left in peace otherwise. */
export function text(el, value) {
  const t = String(value)
  if (el.textContent !== t) el.textContent = t
}

/** Sets an attribute, if it is another one; null takes it away. */
export function attr(el, name, value) {
  if (value === null || value === undefined || value === false) el.removeAttribute(name)
  else if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value)
}

/** Writes [term, value] pairs into a list; terms stay, values change. */
export function values(dl, pairs) {
  if (dl.children.length !== pairs.length || pairs.some(([k], i) => dl.children[i].firstChild.textContent !== k)) {
    set(dl, pairs.map(([k]) => h('div', null, h('dt', null, k), h('dd'))))
  }
  pairs.forEach(([, v], i) => text(dl.children[i].lastChild, v))
}

/**
 * Keeps the children of parent in step with a list: one child for each item, found again by its key, so that focus and open
 * details survive. make(item) returns {el, update(item)}.
 */
export function keyed(parent, items, keyOf, make) {
  const old = parent.kept ?? new Map()
  const kept = new Map()
  let at = parent.firstElementChild
  for (const item of items) {
    const key = keyOf(item)
    const part = old.get(key) ?? make(item)
    old.delete(key)
    kept.set(key, part)
    part.update(item)
    if (part.el === at) at = at.nextElementSibling
    else parent.insertBefore(part.el, at)
  }
  for (const part of old.values()) part.el.remove()
  parent.kept = kept
}

const ICONS = {
  home: 'M4 10.6 12 4l8 6.600V20h-5.500v-6h-5v6H4z',
  devices: 'M3.500 5h13v9h-13zM2 17.500h9M14.500 9.500H21V20h-6.500zM17.300 17.500h.9',
  flows: 'M3 7h13M12.500 3.500 16 7l-3.500 3.500M21 17H8M11.500 13.500 8 17l3.500 3.500',
  rules: 'M3.500 6.500 5 8l3-3M3.500 12.500 5 14l3-3M3.500 18.500 5 20l3-3M11.500 7H21M11.500 13H21M11.500 19H21',
  activity: 'M12 21a9 9 0 1 0-9-9M12 7v5.200l3.400 2M3 17.500V12h5.500',
  check: 'm4.500 12.500 5 5 10-11',
  warn: 'M12 4 2.800 20h18.400zM12 10v4.500M12 17.300v.2',
  stop: 'M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 7.500v5.500M12 16v.2',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5.500M12 7.700v.2',
  why: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM9.300 9.600c.2-1.700 1.300-2.600 2.700-2.600 1.600 0 2.700 1 2.700 2.400 0 2-2.700 2.200-2.700 4.200M12 16.700v.2',
  close: 'm5.500 5.500 13 13M18.500 5.500l-13 13',
  edit: 'm4 20 1-4.500L16.500 4 20 7.500 8.500 19z',
  globe: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c3.200 3 3.200 15 0 18M12 3c-3.200 3-3.200 15 0 18',
  router: 'M3.500 13h17v6.500h-17zM7 16.300h.1M10.500 16.300h.1M16.500 13V5M13.500 7a4 4 0 0 1 0-4M19.500 7a4 4 0 0 0 0-4',
  video: 'M4 4.500h16v15H4zM8 4.500v15M16 4.500v15M4 9.500h4M4 14.500h4M16 9.500h4M16 14.500h4',
  music: 'M9 18V5.500l11-2V16M9 18a2.600 2.600 0 1 1-5.200 0A2.600 2.600 0 0 1 9 18zM20 16a2.600 2.600 0 1 1-5.200 0 2.600 2.600 0 0 1 5.200 0z',
  calls: 'M3 6.500h12v11H3zM15 10.500l6-3.500v10l-6-3.500z',
  messaging: 'M4 5h16v11H10l-4.500 4v-4H4z',
  games: 'M7.500 8h9a5 5 0 0 1 4.500 7.500c-1 2.500-3.300 2-4.800-.5H7.800c-1.500 2.500-3.800 3-4.800.5A5 5 0 0 1 7.500 8zM8 10.300v3M6.500 11.800h3M15.800 11.200h.1M17.300 12.800h.1',
  updates: 'M12 4v11M7 10.500l5 5 5-5M4.500 20h15',
  storage: 'M7 18.500a4.200 4.200 0 0 1-.5-8.400 5.800 5.800 0 0 1 11.200 1.500 3.500 3.500 0 0 1-.4 6.900z',
  mail: 'M3.500 6h17v12.500h-17zM4 6.800l8 6 8-6',
  work: 'M3.500 8h17v11.500h-17zM8.500 8V5h7v3M3.500 13h17',
  finance: 'M4 9.500 12 4.500l8 5zM6 9.500V17M10 9.500V17M14 9.500V17M18 9.500V17M3.500 20h17',
  education: 'M12 6.500C9.500 4.800 6.500 4.500 4 5v13.500c2.500-.5 5.500-.2 8 1.500 2.500-1.700 5.500-2 8-1.500V5c-2.500-.5-5.500-.2-8 1.500zM12 6.500V20',
}

/** An icon that stands beside words; it says nothing by itself. */
export function icon(name, small) {
  return s('svg', {class: small ? 'ic sm' : 'ic', viewBox: '0 0 24 24', 'aria-hidden': 'true'}, s('path', {d: Object.hasOwn(ICONS, name) ? ICONS[name] : ICONS.globe}))
}

/** A status: its colour, icon and words say the same. */
export function pill(kind, words) {
  const name = {ok: 'check', warn: 'warn', bad: 'stop'}[kind] ?? 'info'
  return h('span', {class: 'pill ' + kind}, icon(name, true), words)
}

/** A table whose rows become cards where there is little room; the roles keep it a table for those who cannot see it. */
export function table(label, heads, body) {
  const cells = heads.map(([words, kind]) => h('th', {role: 'columnheader', scope: 'col', class: kind}, words))
  const head = h('thead', {role: 'rowgroup'}, h('tr', {role: 'row'}, cells))
  return h('table', {role: 'table', 'aria-label': label}, head, body)
}
