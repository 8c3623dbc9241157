// An answer of the router made into the numbered chain of the drawer, in the person's words. Pure but for the texts.
import type {Answer, Flow, Reason} from './api.ts'
import {shares, title} from './format.ts'
import {appName, categoryName, linkName} from './names.ts'
import {joined, t} from './text.svelte.ts'

export interface Step {
  title: string
  text: string
  state: 'passed' | 'decides' | 'overruled' | 'limits'
  badge: string
  rule?: {id: string; owner: string}
}

export interface Outcome {
  link: string
  share: string
  lent: boolean
}

export const linksOf = (a: Answer): string[] => [...new Set(a.families.flatMap((f) => f.links.map((l) => l.link)))]

/** Whether the destination is inside the house, where neither rules nor links have a part. */
export const inside = (a: Answer) => a.families.length > 0 && a.families.every((f) => f.near)

export const thing = (a: Answer) => (a.to.app ? appName(a.to.app) : a.to.host || a.to.addr)

/** The answer as a title. */
export function answerTitle(a: Answer): string {
  const names = linksOf(a)
  if (a.blocked) return t('why.blocked', {thing: thing(a)})
  if (inside(a)) return t('why.inside', {thing: thing(a)})
  if (!names.length) return t('why.nolink', {thing: thing(a)})
  const values = {thing: thing(a), links: joined(names.map((n) => linkName(n)))}
  return a.families.some((f) => f.links.length > 1) ? t('why.balanced', values) : t('why.uses', values)
}

const tierTitle = (r: Reason) => r.tier === 'built-in' ? t('why.builtIn') : r.tier === 'house' ? t('why.house', {name: r.name || title(r.rule ?? '')})
  : t('why.person', {name: r.name || title(r.rule ?? ''), owner: title(r.owner ?? '')})

/** What each aspect's reason did, in one line. The rule's own name says the rest. */
function outcome(r: Reason): {state: Step['state']; badge: string; text: string} {
  switch (r.outcome) {
    case 'decided': return {state: 'decides', badge: t('why.decides'), text: r.tier === 'house' ? t('why.textHouse') : r.tier === 'person' ? t('why.textPerson', {owner: title(r.owner ?? '')}) : t('why.textBuiltIn')}
    case 'clamped': return {state: 'decides', badge: t('why.clamped'), text: t('why.textClamped')}
    case 'limited': return {state: 'limits', badge: t('why.limits'), text: t('why.textLimits')}
    case 'overruled': return {state: 'overruled', badge: t('why.overruled'), text: r.tier === 'person' ? t('why.textOverruled', {owner: title(r.owner ?? '')}) : t('why.textOverruledHouse')}
    case 'no-effect': return {state: 'passed', badge: '', text: t('why.textNone')}
  }
}

export const aspects = (a: Answer): Reason['aspect'][] => a.blocked ? ['filter', 'qos', 'log'] : ['steer', 'filter', 'qos', 'log']

/** The chain of one aspect: how the flow was recognised, then each rule in its order. */
export function chain(a: Answer, aspect: Reason['aspect']): Step[] {
  const steps: Step[] = a.reasons.filter((r) => r.aspect === aspect).map((r) => {
    const o = outcome(r)
    return {title: tierTitle(r), ...o, rule: r.rule && r.tier !== 'built-in' ? {id: r.rule, owner: r.owner ?? ''} : undefined}
  })
  if (aspect === aspects(a)[0]) steps.unshift(known(a))
  return steps
}

function known(a: Answer): Step {
  const app = a.to.app ? appName(a.to.app) : ''
  const what = app ? t('why.knownAs', {app, category: categoryName(a.to.category)}) : t('why.unknownApp')
  const host = a.to.host || a.to.addr
  return {title: what, text: app && a.certain ? t('why.knownHow', {host, percent: a.certain}) : t('why.knownBy', {host}), state: 'passed', badge: ''}
}

export interface Result {
  families: string
  addr: string
  links: Outcome[]
  why: string
}

/** The links that come out: of both families at once where they agree. */
export function results(a: Answer): Result[] {
  const one = (f: Answer['families'][number]): Result => {
    const parts = shares(f.links.map((l) => l.share))
    return {families: t('why.family', {n: f.family}), addr: f.addr ?? '', why: f.why, links: f.links.map((l, i) => ({link: l.link, share: f.links.length > 1 ? t('why.share', {n: parts[i]}) : '', lent: l.lent}))}
  }
  const key = (f: Answer['families'][number]) => f.links.map((l) => [l.link, l.share.toFixed(3), l.lent].join(' ')).join()
  if (a.families.length === 2 && key(a.families[0]) === key(a.families[1])) return [{...one(a.families[0]), families: t('why.families'), addr: ''}]
  return a.families.map(one)
}

/** What is different for a flow that runs already. */
export function runningNote(a: Answer, f: Flow | undefined): string {
  if (!f) return ''
  if (f.inbound) return t('why.inbound', {link: linkName(f.link)})
  if (!a.blocked && f.link && !linksOf(a).includes(f.link)) return t('why.kept', {link: linkName(f.link)})
  return ''
}
