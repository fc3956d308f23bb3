// SHA-256 by the platform, which has the processor's instructions for it: the other half of digest_js.go.
import { createHash } from 'node:crypto';
import { view, type Part } from '../../wasm/seam.js';

export const digest: Part = (go) => ({
  vsync_digest: {
    sum: (ptr: number, length: number, to: number) => {
      const sum = createHash('sha256').update(view(go, ptr, length)).digest();
      view(go, to, sum.length).set(sum);
    },
  },
});
