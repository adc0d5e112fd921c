/** Something that the reader can mend; its message is the one line that says how. */
export class SetUpFailure extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = 'SetUpFailure';
  }
}
