// The rules as a document that can be changed in place: what is not touched stays as it was written. Pure.
import {parseDocument, type Document} from 'yaml'

export interface RuleSteer {
  use?: string[] | Record<string, number>
  mode?: 'failover' | 'fixed' | 'balance' | 'any'
  sticky?: string
  failback?: string
  kill_switch?: boolean
  strict?: boolean
  allow?: string[]
  forbid?: string[]
  over_quota?: boolean
}

export interface RuleQoS {
  class?: string
  priority?: number
  min_priority?: number
  max_priority?: number
  guarantee?: {down?: string; up?: string}
  cap?: {down?: string; up?: string}
}

export interface RuleFilter {
  mode?: 'allow-all' | 'filter' | 'deny-all'
  block?: boolean
  allow?: boolean
  liftable?: boolean
  silent?: boolean
}

export interface Rule {
  id: string
  name?: string
  force?: 'must' | 'bound' | 'default'
  priority?: number
  disabled?: boolean
  who?: {devices?: string[]; people?: string[]; groups?: string[]; router?: boolean}
  what?: {apps?: string[]; categories?: string[]; domains?: string[]; addresses?: string[]; services?: string[]; dscp?: unknown[]}
  when?: string[]
  from?: string
  until?: string
  steer?: RuleSteer
  qos?: RuleQoS
  filter?: RuleFilter
  log?: boolean
}

export interface Person { id: string; name?: string }
export interface NamedDevice { id: string; name?: string; owner?: string; macs?: string[]; addresses?: string[] }
export interface Group { id: string; name?: string; devices?: string[]; people?: string[] }

export interface PolicyDocument {
  time_zone?: string
  people?: Person[]
  devices?: NamedDevice[]
  groups?: Group[]
  house?: Rule[]
  personal?: Record<string, Rule[]>
}

/** Reads the text of a policy; the router has checked it, so it is what the interface says. */
export function read(text: string): {doc: Document; value: PolicyDocument} {
  const doc = parseDocument(text || '{}\n')
  return {doc, value: (doc.toJS() as PolicyDocument | null) ?? {}}
}

export const write = (doc: Document) => doc.toString({lineWidth: 0, flowCollectionPadding: false})

/** The path of a rule in the document, by its id; null if it is not there. */
export function pathOf(value: PolicyDocument, id: string): (string | number)[] | null {
  const i = value.house?.findIndex((r) => r.id === id) ?? -1
  if (i >= 0) return ['house', i]
  for (const [owner, list] of Object.entries(value.personal ?? {})) {
    const k = list.findIndex((r) => r.id === id)
    if (k >= 0) return ['personal', owner, k]
  }
  return null
}

/** An id for a new entry, made of words, that no other entry has. */
export function freeID(words: string, taken: Iterable<string>): string {
  const base = words.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 40) || 'rule'
  const all = new Set(taken)
  let id = base
  for (let n = 2; all.has(id); n++) id = `${base}-${n}`
  return id
}

export const ruleIDs = (v: PolicyDocument) => [...(v.house ?? []), ...Object.values(v.personal ?? {}).flat()].map((r) => r.id)

/** Names a device in the document, unless it is there, and gives back its id. */
export function nameDevice(doc: Document, value: PolicyDocument, d: {id: string; hostname?: string; macs: string[]; addrs: string[]}, words = '', owner = ''): string {
  const known = value.devices?.find((x) => x.id === d.id || x.macs?.some((m) => d.macs.includes(m.toLowerCase())))
  if (known) return known.id
  const id = freeID(words || d.hostname || 'device', (value.devices ?? []).map((x) => x.id))
  const fresh = {id, ...(words ? {name: words} : {}), ...(owner ? {owner} : {}), ...(d.macs.length ? {macs: d.macs} : {addresses: d.addrs})}
  if (value.devices?.length) doc.addIn(['devices'], doc.createNode(fresh))
  else doc.setIn(['devices'], doc.createNode([fresh]))
  return id
}

/** Puts a house rule in the place of the one with its id, or adds it. */
export function putHouseRule(doc: Document, value: PolicyDocument, rule: Rule) {
  const i = value.house?.findIndex((r) => r.id === rule.id) ?? -1
  if (i >= 0) doc.setIn(['house', i], doc.createNode(rule))
  else addRule(doc, value, '', rule)
}

export function removeHouseRule(doc: Document, value: PolicyDocument, id: string) {
  const i = value.house?.findIndex((r) => r.id === id) ?? -1
  if (i >= 0) doc.deleteIn(['house', i])
}

export function setRule(doc: Document, path: (string | number)[], rule: Rule) {
  doc.setIn(path, doc.createNode(rule))
}

export function addRule(doc: Document, value: PolicyDocument, owner: string, rule: Rule) {
  const path = owner ? ['personal', owner] : ['house']
  const list = owner ? value.personal?.[owner] : value.house
  if (!list?.length) {
    if (owner && !value.personal) doc.setIn(['personal'], doc.createNode({}))
    doc.setIn(path, doc.createNode([rule]))
  } else doc.addIn(path, doc.createNode(rule))
}
