// An OpenID provider for the tests: npm's `oidc-provider`, with people who log in with any password.
//   node provider.mjs NODE_MODULES CALLBACK
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [modules, callback] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'patchwright', client_secret: 'a secret: with % and +', redirect_uris: [callback] }],
    cookies: { keys: ['only for tests'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'groups'], email: ['email'] },
    pkce: { required: () => true },
    // The name that somebody logs in with is their subject.
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        preferred_username: id.replace('-twin', ''),
        email: `${id}@example.org`,
        groups: id === 'root' ? ['staff', 'patchwright-admins'] : ['staff'],
      }),
    }),
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
