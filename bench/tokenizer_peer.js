// tokenizer_peer.js DIR: Hugging Face's tokenizers (npm package "tokenizers") on DIR/tokenizer.json.
// In: texts, a JSON string a line. Out: the ids of each as a JSON list; or with "speed" behind DIR, megabytes of text a
// second of processor time, the best of five.
const fs = require('fs');
const { Tokenizer } = require('tokenizers');

async function main(dir, speed) {
  const tokenizer = Tokenizer.fromFile(dir + '/tokenizer.json');
  const texts = fs.readFileSync(0, 'utf8').split('\n').filter((line) => line).map((line) => JSON.parse(line));
  const nBytes = texts.reduce((n, text) => n + Buffer.byteLength(text), 0);
  const run = async (each) => {
    for (let i = 0; i < texts.length; i += 500)
      for (const e of await tokenizer.encodeBatch(texts.slice(i, i + 500), { addSpecialTokens: false })) each(e);
  };
  if (!speed) {
    const out = [];
    await run((e) => out.push(JSON.stringify(e.getIds())));
    process.stdout.write(out.join('\n') + '\n');
    return;
  }
  let best = 0;
  for (let i = 0; i < 5; i++) {
    const before = process.cpuUsage();
    await run(() => {});
    const spent = process.cpuUsage(before);
    best = Math.max(best, nBytes / (spent.user + spent.system));
  }
  console.log(best.toFixed(2));
}

main(process.argv[2], process.argv[3] === 'speed');
