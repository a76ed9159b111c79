// The proxy of @anthropic-ai/sandbox-runtime alone, with one host allowed, until the standard input ends. Says
// its port, and by which words it knows those whom it serves.
import { SandboxManager } from '@anthropic-ai/sandbox-runtime';

await SandboxManager.initialize({
  network: { allowedDomains: ['127.0.0.1'], deniedDomains: [] },
  filesystem: { denyRead: [], allowWrite: [], denyWrite: [] },
});
const words = Buffer.from(`srt:${SandboxManager.getProxyAuthToken()}`).toString('base64');
console.log(SandboxManager.getProxyPort(), words);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
