/** A real browser without a window. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

/** Where Debian's package puts it; the set-up of `npm test` names what it has found. */
const USUAL_FILE = '/usr/bin/chromium';

export async function launchChromium(): Promise<Browser> {
  const executablePath = process.env['QARR_CHROMIUM'] ?? USUAL_FILE;
  if (!existsSync(executablePath)) {
    throw new Error(
      'There is no Chromium: install it (apt-get install chromium), or let QARR_CHROMIUM name the executable of a Chrome.',
    );
  }
  return chromium.launch({
    executablePath,
    // Its sandbox does not work for root, and shared memory is small in containers.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}
