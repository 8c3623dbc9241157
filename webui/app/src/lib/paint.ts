// The same textures for a canvas.

const tiles: Record<number, (c: CanvasRenderingContext2D) => [number, number]> = {
  1: () => [8, 8],
  2: (c) => { c.lineWidth = 1.1; slant(c, 7); return [7, 7] },
  3: (c) => { c.lineWidth = 1.3; line(c, 0.5, 1.8, 5, 1.8); line(c, 5.5, 5.3, 10, 5.3); return [10, 7] },
  4: (c) => { dot(c, 2, 2); dot(c, 6, 6); return [8, 8] },
  5: (c) => { c.lineWidth = 1.2; line(c, 3.5, 1, 3.5, 6); return [7, 7] },
  6: (c) => { c.lineWidth = 1.3; line(c, 1, 3.5, 9, 3.5); line(c, 11.5, 3.5, 13, 3.5); return [16, 7] },
  7: (c) => { c.fillRect(1, 1, 3, 3); c.fillRect(6, 6, 3, 3); return [10, 10] },
}

function line(c: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number) {
  c.beginPath()
  c.moveTo(x0, y0)
  c.lineTo(x1, y1)
  c.stroke()
}

function slant(c: CanvasRenderingContext2D, n: number) {
  for (const d of [-n, 0, n]) line(c, d - 1, -1, d + n + 1, n + 1)
}

function dot(c: CanvasRenderingContext2D, x: number, y: number) {
  c.beginPath()
  c.arc(x, y, 1.1, 0, 7)
  c.fill()
}

export const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

/** The texture of a strand's area, sharp on this screen. */
export function texture(strand: number): CanvasPattern | string {
  const ratio = devicePixelRatio || 1
  const ground = colour(`l${strand}`)
  const probe = document.createElement('canvas').getContext('2d')
  if (!probe) return ground
  const [w, h] = tiles[strand](probe)
  const canvas = document.createElement('canvas')
  canvas.width = Math.round(w * ratio)
  canvas.height = Math.round(h * ratio)
  const c = canvas.getContext('2d')
  if (!c) return ground
  c.scale(canvas.width / w, canvas.height / h)
  c.fillStyle = ground
  c.fillRect(0, 0, w, h)
  c.strokeStyle = c.fillStyle = colour('thread')
  tiles[strand](c)
  return c.createPattern(canvas, 'repeat') ?? ground
}
