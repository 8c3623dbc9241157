// A short confirmation at the foot of the page, with one thing to do about it for a while.

import {h, set} from './dom.js'

const SHOWN = 8000 // ms

const el = h('div', {class: 'toast', role: 'status'})
let timer = 0

/** Says words; the action, if there is one, is offered as long as they stay. */
export function toast(words, action, f) {
  clearTimeout(timer)
  if (!el.isConnected) document.body.append(el)
  const hide = () => set(el)
  set(el, h('div', null, h('span', null, words), action && h('button', {type: 'button', onclick: () => (hide(), f())}, action)))
  timer = setTimeout(hide, SHOWN)
}
