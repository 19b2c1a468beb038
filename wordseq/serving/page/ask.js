// Asks the server that the page came from.
"use strict";

/** What the server answers; an Error with its message if it refuses, and then with `status`, or if it does not answer. */
async function ask(path, values, signal) {
  const request = values && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(values),
    signal,
  };
  const answer = await fetch(path, request).catch((error) => {
    throw signal?.aborted ? error : new Error("The server does not answer");
  });
  const found = await answer.json().catch((error) => {
    if (signal?.aborted) throw error;
    return { error: `status ${answer.status}` };
  });
  if (!answer.ok) throw Object.assign(new Error(found.error), { status: answer.status });
  return found;
}
