// What the form of a rule can say, and how that becomes a rule. Parts of a rule that the form cannot say are kept. Pure.
import {usedLinks} from './sentence.ts'
import type {Rule} from './document.ts'

/** Categories in the order in which families ask for them. */
export const CATEGORIES = ['calls', 'video', 'games', 'music', 'updates', 'work', 'education', 'social', 'messaging', 'shopping', 'news', 'storage', 'home', 'p2p', 'vpn', 'ai', 'adult', 'gambling', 'dating', 'advertising',
  'finance', 'health', 'mail', 'maps', 'travel', 'food', 'government', 'knowledge', 'development', 'remote', 'security', 'system', 'infrastructure'] as const

export type Does = 'order' | 'fixed' | 'never' | 'block' | 'allow' | 'cap' | 'kept'

export interface Draft {
  name: string
  what: string // a category, "" for everything, "kept" for what the form cannot say
  who: string // "person:ID", "group:ID", "device:ID", "" or "kept"
  does: Does
  link: string
  then: string // the second link, "" or "kept"
  rate: number // Mbit/s
  force: 'must' | 'bound' | 'default'
}

const mbit = (text: string | undefined) => {
  const m = /^([\d.]+)\s*([kmg])bit$/i.exec(text ?? '')
  return m ? Math.max(1, Math.round(Number(m[1]) * {k: 0.001, m: 1, g: 1000}[m[2].toLowerCase() as 'k' | 'm' | 'g'])) : 10
}

export function draftOf(r: Rule): Draft {
  const {categories = [], ...otherWhat} = r.what ?? {}
  const places = Object.values(otherWhat).some((l) => Array.isArray(l) && l.length)
  const who = r.who ?? {}
  const one = [...(who.people ?? []).map((id) => 'person:' + id), ...(who.groups ?? []).map((id) => 'group:' + id), ...(who.devices ?? []).map((id) => 'device:' + id)]
  const links = usedLinks(r.steer)
  const does: Does = r.steer?.forbid?.length === 1 ? 'never' : r.filter?.block ? 'block' : r.filter?.allow ? 'allow' : r.steer?.mode === 'fixed' ? 'fixed'
    : links.length && (r.steer?.mode ?? 'failover') === 'failover' ? 'order' : r.qos?.cap?.down && !r.steer ? 'cap' : r.steer || r.qos || r.filter || r.log ? 'kept' : 'order'
  return {
    name: r.name ?? '', what: categories.length === 1 && !places ? categories[0] : categories.length || places ? 'kept' : '', who: who.router || one.length > 1 ? 'kept' : one[0] ?? '', does,
    link: r.steer?.forbid?.[0] ?? links[0] ?? '', then: links.length > 2 ? 'kept' : links[1] ?? '', rate: mbit(r.qos?.cap?.down), force: r.force ?? 'must',
  }
}

export function ruleOf(r: Rule, d: Draft, owner: string): Rule {
  const out: Rule = {...r, ...(d.name.trim() ? {name: d.name.trim()} : {})}
  if (!d.name.trim()) delete out.name
  if (!owner) out.force = d.force
  if (d.what === '') delete out.what
  else if (d.what !== 'kept') out.what = {categories: [d.what]}
  if (d.who === '') delete out.who
  else if (d.who !== 'kept') {
    const [kind, id] = [d.who.slice(0, d.who.indexOf(':')), d.who.slice(d.who.indexOf(':') + 1)]
    out.who = kind === 'person' ? {people: [id]} : kind === 'group' ? {groups: [id]} : {devices: [id]}
  }
  const steer = {...r.steer}
  delete steer.forbid
  const plain = (s: Rule['steer']) => {
    out.steer = s
    delete out.filter
  }
  switch (d.does) {
    case 'order': {
      const rest = d.then === 'kept' ? usedLinks(r.steer).slice(1).filter((l) => l !== d.link) : d.then ? [d.then] : []
      delete steer.mode
      delete steer.sticky
      plain({...steer, use: [d.link, ...rest]})
      break
    }
    case 'fixed':
      delete steer.sticky
      delete steer.failback
      plain({...steer, mode: 'fixed', use: [d.link]})
      break
    case 'never':
      plain({forbid: [d.link]})
      out.force = 'bound'
      break
    case 'block':
    case 'allow':
      delete out.steer
      out.filter = d.does === 'block' ? {block: true, ...(r.filter?.block && r.filter.liftable ? {liftable: true} : {})} : {allow: true}
      break
    case 'cap':
      delete out.steer
      delete out.filter
      out.qos = {...r.qos, cap: {down: `${Math.round(d.rate)}mbit`, ...(r.qos?.cap?.up ? {up: r.qos.cap.up} : {})}}
      break
  }
  return out
}
