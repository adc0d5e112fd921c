/** Does something so often, a bounded number at once. */
export async function several(
  times: number,
  { atOnce, make }: { atOnce: number; make: (index: number) => Promise<void> },
): Promise<void> {
  let next = 0;
  const lanes = Array.from({ length: Math.min(atOnce, times) }, async () => {
    while (next < times) {
      next += 1;
      await make(next - 1);
    }
  });
  await Promise.all(lanes);
}
