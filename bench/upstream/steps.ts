/**
 * The engine's clock. As in vLLM all running answers advance together: each step gives one token to
 * each of them. The first token of an answer comes at once, as the prompt costs nothing here; an engine
 * that is late does not catch up.
 */

/** Without a pace so many steps are made before the sockets are looked at again. */
const UNPACED_STEPS = 8;

interface Running {
  /** Ready for more than one token at a time? Asked without a pace only. */
  readonly isFull: boolean;
  /** Says the next tokens. False when that was the last one. */
  advance(by: number): boolean;
}

export interface Steps {
  readonly running: number;
  add(answer: Running): void;
  remove(answer: Running): void;
  /** 0: as fast as the sockets take it. */
  set(pace: { stepMs: number }): void;
}

export function createSteps(pace: { stepMs: number }): Steps {
  const answers = new Set<Running>();
  let { stepMs } = pace;
  let nextMs = 0;
  let isPlanned = false;

  function plan(): void {
    if (isPlanned || answers.size === 0) return;
    isPlanned = true;
    if (stepMs === 0) {
      // Where all sockets are full there is nothing to hurry for.
      if ([...answers].every(({ isFull }) => isFull)) setTimeout(step, 1);
      else setImmediate(step);
      return;
    }
    const nowMs = performance.now();
    if (nextMs < nowMs) nextMs = nowMs + stepMs;
    setTimeout(step, nextMs - nowMs);
  }

  function step(): void {
    isPlanned = false;
    nextMs += stepMs;
    for (const answer of answers) {
      if (stepMs === 0 && answer.isFull) continue;
      if (!answer.advance(stepMs === 0 ? UNPACED_STEPS : 1)) answers.delete(answer);
    }
    plan();
  }

  return {
    get running() {
      return answers.size;
    },
    add(answer) {
      if (!answer.advance(1)) return;
      answers.add(answer);
      plan();
    },
    remove: (answer) => answers.delete(answer),
    set(next) {
      stepMs = next.stepMs;
    },
  };
}
