// The timers of an engine: the other half of clock_js.go.
import { call, type Part } from './seam.js';

export const clock: Part = (go) => {
  const running = new Map<number, ReturnType<typeof setTimeout>>();
  go.onExit(() => {
    for (const timer of running.values()) clearTimeout(timer);
  });
  return {
    vsync_clock: {
      set: (timer: number, millis: number) => {
        const fire = (): void => {
          running.delete(timer);
          call(go, 'vsync_clock_fired', timer);
        };
        running.set(timer, setTimeout(fire, millis));
      },
      clear: (timer: number) => {
        clearTimeout(running.get(timer));
        running.delete(timer);
      },
    },
  };
};
