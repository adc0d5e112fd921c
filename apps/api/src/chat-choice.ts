/**
 * One choice of a streamed chat, as official clients put it together again.
 *
 * They need the role once. Of each tool call they need id, type and name with its first piece. A name
 * that comes again is joined to the first by some of them; by others an empty one is taken for a
 * change of the call, and they fail.
 */
import type { JobEvent, ToolCallPiece } from '@qarr/router-core';

export type DeltaEvent = Extract<JobEvent, { type: 'delta' }>;

export interface ChatChoice {
  /** The delta that opens the choice; null once that is done. */
  opening(event?: DeltaEvent): object | null;
  delta(event: DeltaEvent): object;
}

export function createChatChoice(): ChatChoice {
  let isOpen = false;
  /** Calls that have begun, and which of their fields have been sent. */
  const sent = new Map<number, { id: boolean; name: boolean }>();

  function toolCall({ index, id, function: piece }: ToolCallPiece): object {
    const before = sent.get(index);
    const { id: hasId = false, name: hasName = false } = before ?? {};
    const isNewId = !hasId && Boolean(id);
    const isNewName = !hasName && Boolean(piece?.name);
    sent.set(index, { id: hasId || isNewId, name: hasName || isNewName });
    return {
      index,
      ...(isNewId ? { id } : {}),
      ...(before === undefined ? { type: 'function' } : {}),
      function: {
        ...(isNewName ? { name: piece?.name } : {}),
        arguments: piece?.arguments ?? '',
      },
    };
  }

  return {
    opening(event) {
      if (isOpen) return null;
      isOpen = true;
      // Null says that there may be no text at all, but only calls.
      const hasOnlyCalls = event?.text === '' && event.tool_calls !== undefined;
      return { role: 'assistant', content: hasOnlyCalls ? null : '' };
    },
    delta({ text, reasoning, tool_calls: calls }) {
      const hasMore = reasoning !== undefined || calls !== undefined;
      return {
        ...(text === '' && hasMore ? {} : { content: text }),
        ...(reasoning === undefined ? {} : { reasoning }),
        ...(calls === undefined ? {} : { tool_calls: calls.map(toolCall) }),
      };
    },
  };
}
