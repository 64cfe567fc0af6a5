import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `ALLO_PROXY` is the address of a running server; `npm run dev` then shows the pages of the working copy on its data.
const target = process.env.ALLO_PROXY ?? 'http://127.0.0.1:4000';

export default defineConfig({
  base: '/admin/',
  plugins: [react()],
  html: { cspNonce: '__NONCE__' },
  build: {
    target: 'es2022',
    // The policy of the pages allows no `data:` scripts; small assets stay files.
    assetsInlineLimit: 0,
    manifest: true,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/platform': target, '/restaurant': target } },
  preview: { proxy: { '/platform': target, '/restaurant': target } },
});
