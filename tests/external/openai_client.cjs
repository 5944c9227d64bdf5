// openai_client.cjs ADDRESS PACKAGES - the official JavaScript client before `brood serve`: plain, streamed, errors, gone in the middle.
// PACKAGES: the folder whose node_modules has `openai`. Prints a line a check; exit status 1 if any fails.
'use strict';
const [address, packages] = process.argv.slice(2);
const OpenAI = require(require.resolve('openai', { paths: [packages] }));
const client = new OpenAI({ baseURL: address + '/v1', apiKey: 'not-needed-here', maxRetries: 0 });
const question = 'Tom has 12 jars. Tom sells 5 of them. How many jars does Tom have now?';
const messages = [{ role: 'user', content: question }];
let failed = 0;

function check(what, ok, shown) {
    console.log(`${ok ? 'ok  ' : 'FAIL'}  ${what}`);
    if (ok) return;
    failed++;
    console.log('      ' + JSON.stringify(shown));
}

async function refused(what, wanted, promise) {
    try {
        check(what, false, await promise);
    } catch (e) {
        check(what, e instanceof wanted.type && e.code === wanted.code && e.param === wanted.param && e.message.length > 10,
            { type: e.constructor.name, status: e.status, code: e.code, param: e.param, message: e.message });
    }
}

async function metric(name) {
    const text = await (await fetch(address + '/metrics')).text();
    return Number(text.split('\n').find((line) => line.startsWith(name + ' ')).split(' ')[1]);
}

async function plain() {
    const models = [];
    for await (const model of client.models.list()) models.push(model.id);
    check('models.list', models.includes('brood/sample') && models.includes('brood/beam'), models);
    const one = await client.models.retrieve('lab:small');
    check('models.retrieve', one.id === 'lab:small', one);
    const r = await client.chat.completions.create({ model: 'brood/sample:n=8', messages, seed: 1 });
    const again = await client.chat.completions.create({ model: 'brood/sample:n=8', messages, seed: 1 });
    check('chat: a choice with text', r.choices.length === 1 && r.choices[0].message.role === 'assistant' &&
        r.choices[0].message.content.length > 0 && r.choices[0].finish_reason === 'stop', r);
    check('chat: the same request, the same reply', r.choices[0].message.content === again.choices[0].message.content, again);
    check('chat: usage adds up', r.usage.total_tokens === r.usage.prompt_tokens + r.usage.completion_tokens &&
        r.usage.completion_tokens_details.reasoning_tokens > 0 &&
        r.usage.completion_tokens_details.reasoning_tokens < r.usage.completion_tokens, r.usage);
    const { data, response } = await client.chat.completions.create({ model: 'lab:small', messages, max_tokens: 64 }).withResponse();
    check('chat: the request id', response.headers.get('x-request-id') === data.id && data._request_id === data.id, data);
    const many = await client.chat.completions.create({
        model: 'brood/sample:n=64', n: 3, temperature: 1.5, messages: [{
            role: 'user', content: [{ type: 'text', text: 'Ann has 35 nuts. Ann gives away 12 and buys 4 times as many as she has left. ' },
                { type: 'text', text: 'How many nuts does Ann have now?' }] }] });
    const answers = many.choices.map((c) => c.brood.answer);
    check('chat: n choices have different answers', many.choices.length === 3 && new Set(answers).size === 3, answers);
    const raw = await client.completions.create({ model: 'brood/greedy', prompt: question, max_tokens: 32 });
    check('completions', raw.object === 'text_completion' && typeof raw.choices[0].text === 'string', raw);
    const cut = await client.chat.completions.create({ model: 'brood/greedy', messages, stop: ['answer'] });
    check('stop', !cut.choices[0].message.content.includes('answer') && cut.choices[0].message.content.length > 0 &&
        cut.choices[0].finish_reason === 'stop', cut);
    const short = await client.chat.completions.create({ model: 'brood/greedy', messages, max_completion_tokens: 3 });
    check('max_completion_tokens', short.choices[0].finish_reason === 'length' && short.usage.completion_tokens <= 3, short);
}

async function streamed() {
    const whole = await client.chat.completions.create({ model: 'brood/beam:n=4', messages });
    const stream = await client.chat.completions.create({
        model: 'brood/beam:n=4', messages, stream: true, stream_options: { include_usage: true }, brood: { events: 'tree' } });
    let text = '', finish = null, usage = null, result = null;
    const events = {};
    for await (const chunk of stream) {
        text += chunk.choices[0]?.delta?.content ?? '';
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
        result = chunk.brood?.result ?? result;
        for (const e of chunk.brood?.events ?? []) events[e.type] = (events[e.type] ?? 0) + 1;
    }
    check('stream: the text of the plain reply', text === whole.choices[0].message.content && finish === 'stop', { text, finish });
    check('stream: usage of the plain reply', JSON.stringify(usage) === JSON.stringify(whole.usage), usage);
    check('stream: the tree', events.begin === 1 && events.node > 4 && events.reward > 4 && events.drop > 0 &&
        events.solution > 0 && events.classes === 1 && events.chosen === 1, events);
    check('stream: the result', result?.answer === whole.brood.answer && result.votes === whole.brood.votes, result);
    const helper = client.chat.completions.stream({ model: 'brood/sample:n=4', messages });
    let heard = '';
    helper.on('content', (delta) => { heard += delta; });
    const final = await helper.finalChatCompletion();
    check('stream: the client\'s helper', heard === final.choices[0].message.content && heard.length > 0, final);
    const single = await client.chat.completions.create({ model: 'brood/greedy', messages, stream: true });
    let n = 0;
    for await (const chunk of single) n += chunk.choices[0]?.delta?.content ? 1 : 0;
    check('stream: text comes in pieces', n > 1, n);
    const prompt = await client.completions.create({ model: 'brood/greedy', prompt: question, max_tokens: 16, stream: true });
    let said = '';
    for await (const chunk of prompt) said += chunk.choices[0]?.text ?? '';
    check('stream: completions', said.length > 0, said);
}

async function errors() {
    const ask = (more) => client.chat.completions.create({ model: 'brood/greedy', messages, ...more });
    await refused('error: unknown model', { type: OpenAI.NotFoundError, code: 'model_not_found', param: 'model' }, ask({ model: 'gpt-4o' }));
    await refused('error: unknown strategy', { type: OpenAI.NotFoundError, code: 'model_not_found', param: 'model' }, ask({ model: 'brood/magic' }));
    await refused('error: unknown key', { type: OpenAI.BadRequestError, code: 'unknown_parameter', param: 'brood' }, ask({ brood: { stratgey: 'beam' } }));
    await refused('error: tools', { type: OpenAI.BadRequestError, code: 'unsupported_parameter', param: 'tools' },
        ask({ tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] }));
    await refused('error: temperature', { type: OpenAI.BadRequestError, code: 'invalid_value', param: 'temperature' }, ask({ temperature: -1 }));
    await refused('error: too long for the model', { type: OpenAI.BadRequestError, code: 'invalid_value', param: 'messages' },
        ask({ messages: [{ role: 'user', content: 'jar '.repeat(5000) }] }));
}

async function gone() {
    const before = await metric('brood_clients_gone_total');
    const abort = new AbortController();
    const long = { model: 'brood/sample:n=100000', /* not over before it is given up */ messages, brood: { events: 'tree' } };
    let stopped = false;
    try {
        const stream = await client.chat.completions.create({ ...long, stream: true }, { signal: abort.signal });
        for await (const chunk of stream) if (chunk.brood) abort.abort();
        stopped = true;
    } catch (e) {
        stopped = e instanceof OpenAI.APIUserAbortError;
    }
    check('gone: the stream ends', stopped, null);
    const plain = new AbortController();
    const promise = client.chat.completions.create(long, { signal: plain.signal });
    while (await metric('brood_requests_running') === 0) continue;
    plain.abort();
    let error = null;
    try { await promise; } catch (e) { error = e; }
    check('gone: a plain request ends', error instanceof OpenAI.APIUserAbortError, String(error));
    while (await metric('brood_requests_running') > 0) continue;
    check('gone: the server gave up the work', await metric('brood_clients_gone_total') >= before + 2, null);
    const r = await client.chat.completions.create({ model: 'brood/greedy', messages });
    check('gone: others are served', r.choices[0].finish_reason === 'stop', r);
}

(async () => {
    for (const part of [plain, streamed, errors, gone]) await part();
    console.log(failed ? `${failed} failed` : 'all passed');
    process.exit(failed ? 1 : 0);
})();
