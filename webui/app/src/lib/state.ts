// The state of the router and of its links in words.
import type {Link, RouterEvent, Warning} from './api.ts'
import {clock, title} from './format.ts'
import type {house as House} from './house.svelte.ts'
import {linkName} from './names.ts'
import {joined, said, t} from './text.svelte.ts'

export interface StateWords {
  kind: 'ok' | 'warn' | 'bad' | 'info'
  words: string
}

export function linkState(l: Link): StateWords {
  if (l.state === 'down') return {kind: 'bad', words: t('state.down')}
  if (l.state === 'captive') return {kind: 'warn', words: t('state.captive')}
  if (l.quota?.state === 'spent') return {kind: 'bad', words: t('state.spent')}
  if (l.state === 'degraded') return {kind: 'warn', words: t('state.degraded')}
  if (l.quota?.state === 'warn') return {kind: 'warn', words: t('state.low')}
  if (l.role === 'never') return {kind: 'info', words: t('state.unused')}
  if (l.role === 'backup') return {kind: 'info', words: t('state.standby')}
  return {kind: 'ok', words: t('state.up')}
}

/** The state in one sentence. */
export function headline(h: Pick<typeof House, 'links' | 'status' | 'contact'>): string {
  const used = h.links.filter((l) => l.role !== 'never')
  if (!h.status) return t('home.loading')
  if (!used.length) return t('home.nolinks')
  const off = used.filter((l) => !l.usable), on = used.filter((l) => l.usable)
  if (!on.length) return t('home.down', {time: clock(new Date(Math.max(...off.map((l) => new Date(l.since).getTime()))))})
  if (off.length) return t('home.degraded', {n: off.length, links: joined(off.map((l) => linkName(l)))})
  const shaky = on.filter((l) => l.state !== 'up')
  if (shaky.length) return t('home.shaky', {n: shaky.length, links: joined(shaky.map((l) => linkName(l)))})
  return on.length === 1 ? t('home.one', {link: linkName(on[0])}) : t('home.good', {n: on.length})
}

/** Who carries it, in one sentence. */
export function lede(h: Pick<typeof House, 'links' | 'status'>): string {
  const list = [...h.links].map((l) => ({l, rate: l.rateDown + l.rateUp})).sort((a, b) => b.rate - a.rate)
  const sum = list.reduce((a, x) => a + x.rate, 0)
  if (!h.status) return ''
  if (sum < 50_000) return t('home.calm')
  const part = list.filter((x) => x.rate >= sum * 0.1)
  if (list[0].rate >= sum * 0.6 || part.length < 2) {
    const helper = list[1] && list[1].rate >= sum * 0.02 ? list[1] : null
    return helper ? t('home.carriesHelped', {link: linkName(list[0].l), helper: linkName(helper.l)}) : t('home.carries', {link: linkName(list[0].l)})
  }
  return t('home.share', {links: joined(part.map((x) => linkName(x.l)))})
}

/** A warning in the person's language where the page knows its kind, else as the router says it. */
export function warningWords(w: Warning): {text: string; fix: string; lang: string | undefined} {
  const subject = title(w.subject ?? '')
  const text = said('warning.text', w.code), fix = said('warning.fix', w.code)
  if (text && fix) return {text: text.replaceAll('{subject}', subject), fix, lang: undefined}
  return {text: w.text, fix: w.fix, lang: 'en'}
}

/** An event in the person's language where the page knows its kind, else as the router says it. */
export function eventWords(e: RouterEvent): {text: string; lang: string | undefined} {
  const subject = title(e.subject ?? '')
  if (e.kind === 'link' && subject) {
    const to = / is (up|degraded|captive|down)\b/.exec(e.text)?.[1]
    const words = to && said('event.link', to)
    if (words) return {text: words.replaceAll('{subject}', subject), lang: undefined}
  }
  const words = subject && (said('event', e.kind) ?? said('warning.text', e.kind))
  if (words) return {text: words.replaceAll('{subject}', subject), lang: undefined}
  return {text: e.text, lang: 'en'}
}
