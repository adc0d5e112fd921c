/**
 * Loaded before a peer that cannot be told where to listen: what names no address, or all of them,
 * listens on loopback alone.
 */
import net from 'node:net';

const LOOPBACK = '127.0.0.1';
const listen = net.Server.prototype.listen;

net.Server.prototype.listen = function listenOnLoopback(...given) {
  const [first, ...others] = given;
  if (typeof first === 'object' && first !== null) {
    return listen.call(this, { ...first, host: LOOPBACK }, ...others);
  }
  const callback = given.findLast((argument) => typeof argument === 'function');
  return listen.call(this, { port: Number(first), host: LOOPBACK }, callback);
};
