// The official Graph client as published, with its own retries. Over plain http it takes the token off the
// request, so the first handler here sets it; the last but one notes what is sent and what comes back.
import graph from '@microsoft/microsoft-graph-client';

export const { BatchRequestContent, BatchResponseContent } = graph;

class Authorize {
  constructor(token) {
    this.token = token;
  }

  setNext(next) {
    this.next = next;
  }

  async execute(context) {
    context.options.headers = { ...plain(context.options.headers), Authorization: `Bearer ${this.token}` };
    await this.next.execute(context);
  }
}

class Record {
  sent = [];

  setNext(next) {
    this.next = next;
  }

  async execute(context) {
    const headers = plain(context.options.headers);
    await this.next.execute(context);
    this.sent.push({
      attempt: headers['Retry-Attempt'],
      status: context.response.status,
      retryAfter: context.response.headers.get('Retry-After'),
      requestId: context.response.headers.get('request-id'),
    });
  }
}

function plain(headers) {
  return headers instanceof Headers ? Object.fromEntries(headers) : { ...headers };
}

/** A client that calls url with the token; its sent are the requests on the wire. */
export function connect(url, token) {
  const chain = [new Authorize(token), new graph.RetryHandler(), new Record(), new graph.HTTPMessageHandler()];
  chain.slice(0, -1).forEach((handler, i) => handler.setNext(chain[i + 1]));
  const client = graph.Client.initWithMiddleware({ baseUrl: `${url}/`, defaultVersion: 'v1.0', middleware: chain[0] });
  return Object.assign(client, { sent: chain[2].sent });
}
