import {svelte} from '@sveltejs/vite-plugin-svelte'
import {defineConfig} from 'vite'

// The built page is committed and made again by `make check-generated`: nothing in it may depend on the machine or the time.
export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    outDir: 'dist',
    // The polyfill is an inline script in spirit; every browser that runs this page has the real thing.
    modulePreload: {polyfill: false},
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
  },
  server: {proxy: {'/api': 'http://127.0.0.1:8080'}},
})
