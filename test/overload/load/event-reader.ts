/** Reads a stream of events as it arrives: the data of each, and its name where it has one. */
export function createEventReader(
  onEvent: (event: string, data: string) => void,
): (text: string) => void {
  let buffered = '';
  return (text) => {
    buffered += text;
    const frames = buffered.split('\n\n');
    buffered = frames.pop() ?? '';
    for (const frame of frames) {
      let event = '';
      let data: string | null = null;
      for (const line of frame.split('\n')) {
        if (line.startsWith('event: ')) event = line.slice('event: '.length);
        else if (line.startsWith('data: ')) data = line.slice('data: '.length);
      }
      if (data !== null) onEvent(event, data);
    }
  };
}
