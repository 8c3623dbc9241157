// A rule as a sentence with slots. The order of words comes from the language's file.
import type {PolicyDocument, Rule, RuleSteer} from './document.ts'
import {title} from './format.ts'
import {appName, categoryName, linkName} from './names.ts'
import {either, joined, said, speech, t, type Key} from './text.svelte.ts'

export interface Part {
  slot: string // "" for plain words
  words: string
}

/** Cuts a template into words and slots. */
export function parts(template: string, values: Record<string, string>): Part[] {
  return template.split(/(\{\w+\})/).filter(Boolean).map((piece) => {
    const slot = /^\{(\w+)\}$/.exec(piece)?.[1]
    return slot && slot in values ? {slot, words: values[slot]} : {slot: '', words: piece}
  })
}

const template = (key: Key) => String(speech.words[key] ?? key)

const domain = (d: string) => d.replace(/^=/, '')

export function whoWords(r: Rule, v: PolicyDocument, owner: string): string {
  const who = r.who ?? {}
  if (who.router) return t('rule.whoRouter')
  const names = [
    ...(who.groups ?? []).map((id) => v.groups?.find((g) => g.id === id)?.name ?? title(id)),
    ...(who.people ?? []).map((id) => personName(v, id)),
    ...(who.devices ?? []).map((id) => v.devices?.find((d) => d.id === id)?.name ?? title(id)),
  ]
  if (names.length) return joined(names)
  return owner ? personName(v, owner) : t('rule.whoAll')
}

export const personName = (v: PolicyDocument, id: string) => v.people?.find((p) => p.id === id)?.name ?? title(id)

export function whatWords(r: Rule): string {
  const what = r.what ?? {}
  const names = [...(what.categories ?? []).map(categoryName), ...(what.apps ?? []).map(appName), ...(what.domains ?? []).map(domain)]
  const places = [...(what.addresses ?? []), ...(what.services ?? [])]
  if (!names.length && !places.length) return t('rule.whatAll')
  return joined([...names, ...(places.length ? [either(places)] : [])])
}

export const usedLinks = (s: RuleSteer | undefined): string[] => (Array.isArray(s?.use) ? s.use : Object.keys(s?.use ?? {}))

function weights(s: RuleSteer): string {
  if (Array.isArray(s.use) || !s.use) return joined(usedLinks(s).map((l) => linkName(l)))
  const sum = Object.values(s.use).reduce((a, b) => a + b, 0)
  return joined(Object.entries(s.use).map(([l, w]) => t('rule.part', {link: linkName(l), share: Math.round((w / sum) * 100)})))
}

/** The sentences of a rule, the main one first. */
export function sentences(r: Rule, v: PolicyDocument, owner: string): Part[][] {
  const out: [Key, Record<string, string>][] = []
  const base = {what: whatWords(r), who: whoWords(r, v, owner)}
  const s = r.steer
  if (s) {
    const links = joined(usedLinks(s).map((l) => linkName(l)))
    if (s.forbid?.length) out.push(['rule.forbid', {links: either(s.forbid.map((l) => linkName(l)))}])
    if (s.allow?.length) out.push(['rule.allowLinks', {links: joined(s.allow.map((l) => linkName(l)))}])
    if (s.mode === 'any') out.push(['rule.any', {}])
    else if (s.mode === 'balance') out.push(['rule.balance', {links: weights(s)}])
    else if (usedLinks(s).length === 1) out.push([s.mode === 'fixed' ? 'rule.fixed' : 'rule.prefer', {link: links}])
    else if (links) out.push(['rule.order', {links: usedLinks(s).map((l) => linkName(l)).join(t('rule.then'))}])
  }
  const f = r.filter
  if (f?.mode === 'deny-all') out.push(['rule.denyAll', {}])
  else if (f?.mode === 'allow-all') out.push(['rule.modeAllow', {}])
  else if (f?.mode === 'filter') out.push(['rule.modeFilter', {}])
  if (f?.block) out.push(['rule.block', {}])
  if (f?.allow) out.push(['rule.allow', {}])
  const q = r.qos
  if (q?.class) out.push(['rule.class', {class: said('class', q.class) ?? q.class}])
  if (q?.guarantee) out.push(['rule.guarantee', {rate: rates(q.guarantee)}])
  if (q?.cap) out.push(['rule.cap', {rate: rates(q.cap)}])
  if (r.log && !out.length) out.push(['rule.log', {}])
  return out.map(([key, values]) => capital(parts(template(key), {...base, ...values})))
}

/** A sentence begins with a capital, whatever slot it begins with. */
function capital(list: Part[]): Part[] {
  const [first, ...rest] = list
  return first ? [{...first, words: first.words.charAt(0).toLocaleUpperCase(speech.locale) + first.words.slice(1)}, ...rest] : list
}

const speed = (text: string) => text.replace(/^([\d.]+)\s*([kmg])bit$/i, (_, n: string, u: string) => `${n}\u00a0${u.toLowerCase() === 'k' ? 'kbit/s' : u.toLowerCase() === 'm' ? 'Mbit/s' : 'Gbit/s'}`)

function rates(r: {down?: string; up?: string}): string {
  const list = [r.down ? t('rule.down', {rate: speed(r.down)}) : '', r.up ? t('rule.up', {rate: speed(r.up)}) : ''].filter(Boolean)
  return joined(list)
}

/** What else is worth saying of a rule: when it holds. */
export function whenWords(r: Rule): string {
  return r.when?.length ? t('rule.when', {when: joined(r.when.map((w) => w.replace(/\b(sun|mon|tue|wed|thu|fri|sat)\b/g, weekday)))}) : ''
}

function weekday(short: string): string {
  const at = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'].indexOf(short)
  // 4 January 1970 was a Sunday.
  return new Intl.DateTimeFormat(speech.locale, {weekday: 'short', timeZone: 'UTC'}).format(new Date(Date.UTC(1970, 0, 4 + at)))
}
