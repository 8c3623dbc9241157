// Changes of rules as values: made in the policy's document by whoever sees all of it, or sent one by one by whoever sees only their own. Pure.
import type {Document} from 'yaml'
import type {Schemas} from './api.ts'
import {addRule, pathOf, setRule, type PolicyDocument, type Rule} from './document.ts'

/** One change. owner is the person whose rule it is, "" for the house's. */
export type Edit = {put: Rule; owner: string} | {remove: string} | {swap: [string, string]}

/** What the interface says of a rule, with links as the document has them: a list, or with weights a mapping. */
export function ruleFrom(r: Schemas['Rule']): Rule {
  const {steer, ...rest} = r
  if (!steer) return rest as Rule
  const {use, ...more} = steer
  const links = use?.some((l) => l.weight !== undefined) ? Object.fromEntries(use.map((l) => [l.link, l.weight ?? 1])) : use?.map((l) => l.link)
  return {...rest, steer: {...more, ...(links ? {use: links} : {})}} as Rule
}

/** A rule as the interface takes it. */
export function ruleTo(r: Rule): Schemas['Rule'] {
  const {steer, ...rest} = r
  if (!steer) return rest as Schemas['Rule']
  const {use, ...more} = steer
  const links = Array.isArray(use) ? use.map((link) => ({link})) : use ? Object.entries(use).map(([link, weight]) => ({link, weight})) : undefined
  return {...rest, steer: {...more, ...(links ? {use: links} : {})}} as Schemas['Rule']
}

const listOf = (v: PolicyDocument, owner: string) => (owner ? v.personal?.[owner] : v.house) ?? []
const ruleOf = (v: PolicyDocument, id: string): Rule | undefined => [...(v.house ?? []), ...Object.values(v.personal ?? {}).flat()].find((r) => r.id === id)

/** Makes a change in the document, whose value v is. */
export function make(doc: Document, v: PolicyDocument, e: Edit) {
  if ('put' in e) {
    const path = pathOf(v, e.put.id)
    if (path) setRule(doc, path, e.put)
    else addRule(doc, v, e.owner, e.put)
  } else if ('remove' in e) {
    const path = pathOf(v, e.remove)
    if (path) doc.deleteIn(path)
  } else {
    const [a, b] = e.swap.map((id) => pathOf(v, id))
    const [first, second] = e.swap.map((id) => ruleOf(v, id))
    if (!a || !b || !first || !second) return
    // Of two priorities the higher is looked at first, whatever the order of writing: they change hands, too.
    const withPriority = (r: Rule, priority: number | undefined) => {
      const {priority: _, ...rest} = r
      return priority ? {...rest, priority} : rest
    }
    setRule(doc, a, withPriority(second, first.priority))
    setRule(doc, b, withPriority(first, second.priority))
  }
}

/** A change as the interface takes it, for whoever may not see the document. */
export function send(v: PolicyDocument, e: Edit): Schemas['Edit'] {
  if ('put' in e) return {putRule: ruleTo(e.put), ...(e.owner ? {owner: e.owner} : {})}
  if ('remove' in e) return {deleteRule: e.remove}
  const owner = Object.keys(v.personal ?? {}).find((o) => listOf(v, o).some((r) => r.id === e.swap[0])) ?? ''
  const ids = listOf(v, owner).map((r) => r.id)
  const [a, b] = e.swap.map((id) => ids.indexOf(id))
  if (a >= 0 && b >= 0) [ids[a], ids[b]] = [ids[b], ids[a]]
  return {order: ids}
}

const touched = (e: Edit) => ('put' in e ? [e.put.id] : 'remove' in e ? [e.remove] : e.swap)

/** What somebody else did to the rules since they were read, and whether it meets the change that waits. */
export interface Meeting {
  added: Rule[]
  removed: Rule[]
  changed: {before: Rule; after: Rule}[]
  /** Rules that both changed: one of the two ways has to give. */
  both: string[]
}

export function meet(before: PolicyDocument, after: PolicyDocument, mine: Edit): Meeting {
  const all = (v: PolicyDocument) => new Map([...(v.house ?? []), ...Object.values(v.personal ?? {}).flat()].map((r) => [r.id, r]))
  const old = all(before), now = all(after)
  const same = (a: Rule, b: Rule) => JSON.stringify(a) === JSON.stringify(b)
  const out: Meeting = {added: [], removed: [], changed: [], both: []}
  for (const [id, r] of now) if (!old.has(id)) out.added.push(r)
  for (const [id, r] of old) {
    const next = now.get(id)
    if (!next) out.removed.push(r)
    else if (!same(r, next)) out.changed.push({before: r, after: next})
  }
  const theirs = new Set([...out.added, ...out.removed, ...out.changed.map((c) => c.after)].map((r) => r.id))
  out.both = touched(mine).filter((id) => theirs.has(id))
  return out
}
