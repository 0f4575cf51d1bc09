/**
 * Puts off loading `@azure/identity` until a login asks for it. Main thread and reader threads.
 *
 * tedious requires that package, and with it some hundred modules, as soon as it is loaded: half of its start-up
 * time, paid again in every thread, for logins that most runs don't use. `require.cache` may be given entries; this one
 * loads the real package when something of it is looked at, and is of no further use then.
 */
import { createRequire, Module } from 'node:module';

const fromTedious = createRequire(createRequire(import.meta.url).resolve('tedious'));
const file = fromTedious.resolve('@azure/identity');

if (fromTedious.cache[file] === undefined) {
  const standIn = new Module(file);
  standIn.exports = new Proxy(
    {},
    {
      get(_target, name): unknown {
        if (fromTedious.cache[file] === standIn) delete fromTedious.cache[file];
        return Reflect.get(fromTedious('@azure/identity') as object, name);
      },
    },
  );
  standIn.loaded = true;
  fromTedious.cache[file] = standIn;
}
