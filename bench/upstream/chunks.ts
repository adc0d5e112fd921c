/** An answer as vLLM streams it: server-sent events, each of them a chunk of the HTTP response. */
import { idsOf, tokenId, tokenText } from './answer-text.ts';

export interface AnswerForm {
  readonly id: string;
  readonly seed: number;
  readonly model: string;
  readonly isChat: boolean;
  readonly tokens: number;
  readonly promptTokens: number;
  readonly withTokenIds: boolean;
  /** A last chunk tells the usage; `each` chunk does. */
  readonly usage: 'none' | 'last' | 'each';
}

export interface Chunks {
  /** Before the first token; completions have none. */
  begin(): string;
  token(index: number): string;
  end(): string;
}

export function createChunks(form: AnswerForm): Chunks {
  const { id, seed, model, isChat, tokens, promptTokens, withTokenIds, usage } = form;
  const created = Math.trunc(Date.now() / 1_000);
  const object = isChat ? 'chat.completion.chunk' : 'text_completion';
  const head = `data: {"id":"${id}","object":"${object}","created":${created},"model":"${model}","choices":[`;
  const [open, close] = isChat ? ['"delta":{"content":"', '"}'] : ['"text":"', '"'];
  const before = `${head}{"index":0,${open}`;
  const after = `${close},"logprobs":null,"finish_reason":`;

  const usageOf = (count: number) =>
    `"usage":{"prompt_tokens":${promptTokens},"total_tokens":${promptTokens + count},"completion_tokens":${count}}`;
  const countOf = (count: number) => (usage === 'each' ? `,${usageOf(count)}` : '');

  return {
    begin() {
      if (!isChat) return '';
      const ids = withTokenIds ? `,"prompt_token_ids":[${idsOf(promptTokens).join(',')}]` : '';
      return framed(
        `${head}{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]${ids}${countOf(0)}}\n\n`,
      );
    },
    token(index) {
      const reason = index + 1 === tokens ? '"length"' : 'null';
      const ids = withTokenIds ? `[${tokenId(seed, index)}]` : 'null';
      return framed(
        `${before}${tokenText(seed, index)}${after}${reason},"token_ids":${ids}}]${countOf(index + 1)}}\n\n`,
      );
    },
    end() {
      const last = usage === 'none' ? '' : framed(`${head}],${usageOf(tokens)}}\n\n`);
      return `${last}${framed('data: [DONE]\n\n')}`;
    },
  };
}

/** Its own HTTP chunk, written at one with its frame: Node would make several writes of it. */
function framed(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}
