// Makes the calls that come on standard input, [[name, argument], …], with the client as it is
// installed, and prints what became of each as JSON.
import { text } from "node:stream/consumers";
import { apiConfig, instanceOfRegistryResponse, PublicApi } from "@humanitec/autogen";

const client = new PublicApi(
  apiConfig({
    apiHost: process.env.PULLPASS_URL,
    token: process.env.PULLPASS_TOKEN,
    internalApp: "pullpass-tests",
  }),
);

const outcomes = [];
for (const [name, argument] of JSON.parse(await text(process.stdin))) {
  try {
    const value = (await client[name](argument)) ?? null;
    outcomes.push({ value, whole: [value].flat().every((one) => one && instanceOfRegistryResponse(one)) });
  } catch (error) {
    const response = error.response;
    outcomes.push({
      error: error.name,
      status: response?.status,
      body: response ? await response.json() : String(error.cause ?? error),
    });
  }
}
console.log(JSON.stringify(outcomes));
