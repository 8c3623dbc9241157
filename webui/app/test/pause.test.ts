import {expect, test} from 'vitest'
import {bedtimeOf, bedtimeRule, inBed, morning, pausedUntil, pauseRule, putOff, type Whose} from '../src/lib/pause.ts'

const ana: Whose = {kind: 'person', id: 'ana'}
const tv: Whose = {kind: 'device', id: 'ana'} // a device may be called as a person
const at = (text: string) => new Date(text).getTime()
const EVENING = at('2026-11-30T21:45:10')

test('a pause ends by itself, and is its own for people and devices', () => {
  const v = {house: [pauseRule(ana, 'Pause of Ana', EVENING + 3_600_000)]}
  expect(v.house[0]).toMatchObject({id: 'pause-ana', force: 'must', who: {people: ['ana']}, filter: {mode: 'deny-all'}})
  expect(v.house[0].until).not.toContain('.')
  expect(pausedUntil(v, ana, EVENING)).toBe(EVENING + 3_600_000)
  expect(pausedUntil(v, ana, EVENING + 3_600_000)).toBeUndefined()
  expect(pausedUntil(v, tv, EVENING)).toBeUndefined()
  expect(pausedUntil({house: [pauseRule(tv, 'x', 0)]}, tv, EVENING)).toBe(0)
  expect(pausedUntil({house: [{...pauseRule(tv, 'x', 0), disabled: true}]}, tv, EVENING)).toBeUndefined()
})

test('bedtime is put off once, from when it holds or would begin', () => {
  const v = {house: [bedtimeRule(ana, 'Bedtime', '21:30', '07:00')]}
  const b = bedtimeOf(v, ana, EVENING)
  expect(b).toEqual({from: '21:30', to: '07:00', later: 0})
  if (!b) return
  expect([inBed(b, EVENING), inBed(b, at('2026-11-30T03:00:00')), inBed(b, at('2026-11-30T07:00:00'))]).toEqual([true, true, false])
  expect(putOff(b, EVENING, 30)).toBe(EVENING + 30 * 60_000)
  expect(putOff(b, at('2026-11-30T18:00:00'), 30)).toBe(at('2026-11-30T22:00:00'))
  const later = bedtimeOf({house: [bedtimeRule(ana, 'Bedtime', '21:30', '07:00', at('2026-11-30T22:15:00'))]}, ana, EVENING)
  expect(later?.later).toBe(at('2026-11-30T22:15:00'))
  if (!later) return
  expect(inBed(later, EVENING)).toBe(false)
  expect(putOff(later, EVENING, 30)).toBe(at('2026-11-30T22:45:00'))
})

test('the morning is the next one', () => {
  expect(morning(EVENING)).toBe(at('2026-12-01T07:00:00'))
  expect(morning(at('2026-11-30T06:59:00'))).toBe(at('2026-11-30T07:00:00'))
})
