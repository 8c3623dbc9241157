import {beforeEach, describe, expect, test} from 'vitest'
import type {PolicyDocument, Rule} from '../src/lib/document.ts'
import {draftOf, ruleOf} from '../src/lib/ruleform.ts'
import {sentences} from '../src/lib/sentence.ts'
import {fill, preferred, t} from '../src/lib/text.svelte.ts'
import {speak} from './words.ts'

const home: PolicyDocument = {people: [{id: 'ana', name: 'Ana'}], groups: [{id: 'kids', name: 'The children'}], devices: [{id: 'tv', name: 'TV'}]}
const say = (r: Rule, owner = '') => sentences(r, home, owner).map((s) => s.map((p) => p.words).join('')).join(' ').replaceAll('\u00a0', ' ')
beforeEach(() => speak('en'))

test.each<[Rule, string]>([
  [{id: 'a', what: {categories: ['video']}, steer: {forbid: ['lte']}}, 'Video of everyone never uses LTE.'],
  [{id: 'a', who: {people: ['ana']}, steer: {mode: 'fixed', use: ['fiber']}}, 'Everything of Ana uses Fiber and nothing else.'],
  [{id: 'a', who: {groups: ['kids']}, filter: {mode: 'allow-all'}}, 'For The children, filters are off.'],
  [{id: 'a', who: {devices: ['tv']}, qos: {cap: {down: '20mbit'}}}, 'Everything of TV gets at most 20 Mbit/s down.'],
  [{id: 'a', steer: {mode: 'balance', use: {fiber: 70, wifi: 30}}}, 'Everything of everyone is shared between Fiber (70 %) and WiFi (30 %).'],
])('a rule as a sentence', (rule, want) => expect(say(rule)).toBe(want))

test('every language says every rule, with nothing left to fill in', async () => {
  const rule: Rule = {id: 'a', steer: {use: ['fiber', 'lte']}, filter: {block: true}, qos: {class: 'realtime', guarantee: {down: '1mbit', up: '500kbit'}}}
  const seen = new Set<string>()
  for (const language of ['en', 'es', 'zh'] as const) {
    await speak(language)
    const said = say(rule)
    expect(said).not.toMatch(/[{}]|rule\./)
    seen.add(said)
  }
  expect(seen.size).toBe(3)
})

describe('the form of a rule', () => {
  test('what it cannot say stays', () => {
    const r: Rule = {id: 'a', force: 'must', what: {apps: ['zoom'], services: ['udp/3478']}, when: ['mon-fri 08:00-18:00'], steer: {use: ['fiber', 'wifi', 'lte'], failback: 'move'}, qos: {class: 'realtime'}}
    expect(ruleOf(r, draftOf(r), '')).toEqual(r)
  })
  test('a link that is never used is a limit', () => {
    const r: Rule = {id: 'a', force: 'must', steer: {use: ['fiber']}}
    expect(ruleOf(r, {...draftOf(r), does: 'never', link: 'lte'}, '')).toEqual({id: 'a', force: 'bound', steer: {forbid: ['lte']}})
  })
})

describe('words', () => {
  test('a number chooses its form', () => {
    expect(t('apps.count', {n: 1})).toBe('1 connection runs.')
    expect(t('apps.count', {n: 1200})).toBe('1,200 connections run.')
  })
  test('the language is what was chosen, else what the browser wants, else English', () => {
    expect(preferred('zh', ['es'])).toBe('zh')
    expect(preferred('xx', ['de-DE', 'es-MX'])).toBe('es')
    expect(preferred(null, ['de'])).toBe('en')
  })
  test('a value is filled in wherever it stands', () => expect(fill('{a}{b}{a}', {a: 1, b: '{a}'})).toBe('1{a}1'))
})
