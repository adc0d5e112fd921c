/** Where the text of one engine ends and that of the next begins: lets out what is new, once. */
import type { AnswerDelta } from '@qarr/job-store';
import { createStopGuard } from './stop-guard.ts';

export interface JointOptions {
  /** Text that the former engine had made and not let out. */
  readonly heldBack: string;
  /** Stop strings that may begin in it. */
  readonly stops: readonly string[];
  /** What the engine may send back first, in a delta of its own: the text that it was given. */
  readonly echo: string;
  /** The end of the published text that the engine shall say again. */
  readonly repeated: string;
  readonly onDelta: (delta: AnswerDelta) => void;
  /** Ends the request. */
  readonly close: () => void;
}

export interface Joint {
  readonly verdict: 'going on' | 'stopped' | 'other text';
  push(delta: AnswerDelta): void;
  /** The answer is whole, ended by this stop string or by none; the verdict is final now. */
  flush(stopString: string | undefined): void;
}

export function createJoint(options: JointOptions): Joint {
  const guard = createStopGuard(options);
  let { echo, repeated } = options;
  let verdict: Joint['verdict'] = 'going on';

  function end(as: Joint['verdict']): void {
    verdict = as;
    options.close();
  }

  /** The text without the beginning that was published before; null when it begins otherwise. */
  function withoutRepeated(text: string): string | null {
    const common = Math.min(text.length, repeated.length);
    if (text.slice(0, common) !== repeated.slice(0, common)) return null;
    repeated = repeated.slice(common);
    return text.slice(common);
  }

  return {
    get verdict() {
      return verdict;
    },
    push(delta) {
      if (verdict !== 'going on') return;
      if (delta.text !== '' && delta.text === echo) {
        echo = '';
        return;
      }
      if (delta.text !== '') echo = '';
      const fresh = withoutRepeated(delta.text);
      if (fresh === null) return end('other text');
      // Published before, its tokens too.
      if (fresh === '' && delta.text !== '') return;
      const passed = guard.push(fresh);
      options.onDelta({ ...delta, text: passed.text });
      if (passed.isStopped) end('stopped');
    },
    flush(stopString) {
      if (repeated !== '') verdict = 'other text';
      if (verdict !== 'going on') return;
      const text = guard.flush(stopString);
      if (text !== '') options.onDelta({ text });
    },
  };
}
