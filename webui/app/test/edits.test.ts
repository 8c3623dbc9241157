import {describe, expect, test} from 'vitest'
import {read, write, type Rule} from '../src/lib/document.ts'
import {make, meet, ruleFrom, ruleTo, send, type Edit} from '../src/lib/edits.ts'

const TEXT = `# Ours.
people:
  - {id: ana, name: Ana}
house:
  - id: calls # the steadiest
    force: must
    priority: 5
    steer: {use: [fiber, lte]}
  - {id: spread, force: must, steer: {mode: balance, use: {fiber: 70, wifi: 30}}}
personal:
  ana:
    - {id: bank, what: {domains: [ing.de]}, steer: {mode: fixed, use: [fiber]}}
    - {id: shop, steer: {mode: any}}
`
function edited(e: Edit) {
  const {doc, value} = read(TEXT)
  make(doc, value, e)
  const text = write(doc)
  return {text, value: read(text).value}
}
const block: Rule = {id: 'no-games', force: 'must', what: {categories: ['games']}, filter: {block: true}}

describe('a change in the document', () => {
  test('adds a rule and leaves the rest as it was written', () => {
    const {text, value} = edited({put: block, owner: ''})
    expect(value.house?.map((r) => r.id)).toEqual(['calls', 'spread', 'no-games'])
    expect(value.house?.at(-1)).toEqual(block)
    expect(text).toContain('# Ours.')
    expect(text).toContain('# the steadiest')
  })
  test('adds the first rule of a person', () => {
    expect(edited({put: {id: 'mine', steer: {mode: 'any'}}, owner: 'leo'}).value.personal?.leo).toEqual([{id: 'mine', steer: {mode: 'any'}}])
  })
  test('replaces and removes by id, in either tier', () => {
    expect(edited({put: {id: 'shop', disabled: true, steer: {mode: 'any'}}, owner: 'ana'}).value.personal?.ana[1].disabled).toBe(true)
    expect(edited({remove: 'bank'}).value.personal?.ana.map((r) => r.id)).toEqual(['shop'])
    expect(edited({remove: 'nothing'}).text).toBe(edited({remove: 'neither'}).text)
  })
  test('rules that change places exchange their priorities', () => {
    const house = edited({swap: ['calls', 'spread']}).value.house
    expect(house?.map((r) => [r.id, r.priority])).toEqual([['spread', 5], ['calls', undefined]])
  })
})

test('a rule goes to the interface and comes back the same', () => {
  const {value} = read(TEXT)
  for (const r of [...(value.house ?? []), ...(value.personal?.ana ?? []), block]) expect(ruleFrom(ruleTo(r))).toEqual(r)
})

test('a member sends the same changes one by one', () => {
  const {value} = read(TEXT)
  expect(send(value, {swap: ['bank', 'shop']})).toEqual({order: ['shop', 'bank']})
  expect(send(value, {remove: 'bank'})).toEqual({deleteRule: 'bank'})
  expect(send(value, {put: {id: 'x', steer: {use: {fiber: 2, lte: 1}, mode: 'balance'}}, owner: 'ana'})).toEqual({owner: 'ana', putRule: {id: 'x', steer: {mode: 'balance', use: [{link: 'fiber', weight: 2}, {link: 'lte', weight: 1}]}}})
})

test('two changes at once meet only where they touch the same rule', () => {
  const before = read(TEXT).value
  const after = edited({put: {id: 'calls', force: 'default', steer: {use: ['lte']}}, owner: ''}).value
  expect(meet(before, after, {put: block, owner: ''})).toMatchObject({added: [], removed: [], both: [], changed: [{after: {id: 'calls'}}]})
  expect(meet(before, after, {remove: 'calls'}).both).toEqual(['calls'])
  expect(meet(before, edited({remove: 'bank'}).value, {remove: 'bank'}).both).toEqual(['bank'])
})
