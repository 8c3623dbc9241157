// The rules in force, as whoever is signed in may see them: an admin and a viewer the whole document, a member their own rules and what
// the house set above them.
import type {Document} from 'yaml'
import {ask, get, type Policy, type PolicyCheck, type Schemas} from './api.ts'
import {read, write, type PolicyDocument, type Rule} from './document.ts'
import {make, ruleFrom, send, type Edit} from './edits.ts'
import {house} from './house.svelte.ts'
import {me} from './session.svelte.ts'

export type Finding = Schemas['Finding']

class Policies {
  /** The whole document; null for a member, and until it is known. */
  policy = $state.raw<Policy | null>(null)
  value = $state.raw<PolicyDocument>({})
  version = $state(-1)
  /** What is odd about a rule, by its id. */
  findings = $state.raw<Record<string, Finding[]>>({})
  /** House rules above a person's rules, as a member may know them. */
  above = $state.raw<Rule[]>([])
  error = $state.raw<unknown>(null)
  known = $derived(this.version >= 0)

  async load() {
    try {
      const [rules, policy] = await Promise.all([get('/rules'), me.member ? null : get('/policy')])
      this.findings = Object.fromEntries([...rules.house, ...rules.people.flatMap((p) => p.rules)].map((v) => [v.rule.id, v.findings]))
      if (policy) this.take(policy)
      else this.#own(rules)
      this.error = null
    } catch (err) {
      this.error = err
    }
  }

  /** What a member is told, in the form of the document. */
  #own(rules: Schemas['Rules']) {
    const limits = rules.people.flatMap((p) => p.rules.flatMap((v) => v.limits.map((l) => ruleFrom(l.rule))))
    this.above = [...new Map(limits.map((r) => [r.id, r])).values()]
    this.value = {
      people: rules.people.map((p) => ({id: p.person, name: p.name})),
      devices: house.devices.map((d) => ({id: d.id, name: d.name, owner: d.owner, macs: d.macs})),
      personal: Object.fromEntries(rules.people.map((p) => [p.person, p.rules.map((v) => ruleFrom(v.rule))])),
    }
    this.version = rules.version
  }

  take(p: Policy) {
    this.policy = p
    this.value = read(p.text).value
    this.version = p.version
  }

  check = (text: string) => ask<PolicyCheck>('/policy/check', {method: 'POST', text})

  /** A draft of one change: what it would do, without doing it. */
  draft(e: Edit): Promise<Schemas['Draft']> {
    if (!this.policy) return this.#send({version: this.version, edits: [send(this.value, e)]})
    const {doc, value} = read(this.policy.text)
    make(doc, value, e)
    return this.draftOf(write(doc), this.policy.version)
  }

  draftOf = (text: string, version: number) => this.#send({version, text})

  #send = (json: Schemas['NewDraft']) => ask<Schemas['Draft']>('/drafts', {method: 'POST', json})

  /** Throws a draft away; whether that is heard does not matter, it goes away by itself. */
  forget(id: string) {
    void ask(`/drafts/${encodeURIComponent(id)}`, {method: 'DELETE'}).catch(() => {})
  }

  /** Puts a text in force, if the version that it began from still is. */
  async put(text: string, version: number): Promise<Policy> {
    const p = await ask<Policy>('/policy', {method: 'PUT', text, query: {version, by: 'page'}})
    this.take(p)
    return p
  }

  /** Changes the document in force and saves it; gives back what takes the change back. */
  async change(edit: (doc: Document, value: PolicyDocument) => void): Promise<() => Promise<void>> {
    if (!this.policy) await this.load()
    const before = this.policy
    if (!before) throw this.error
    const {doc, value} = read(before.text)
    edit(doc, value)
    const after = await this.put(write(doc), before.version)
    void house.load()
    return async () => {
      await this.put(before.text, after.version)
      void house.load()
    }
  }
}
export const policies = new Policies()
