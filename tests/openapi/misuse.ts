// What the types keep a client from doing: each line below a mark must not compile.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: "https://example.org" });

export async function misuse(): Promise<void> {
  // @ts-expect-error There is no such endpoint.
  await client.POST("/auth/log-in/", {});
  // @ts-expect-error A login takes a password.
  await client.POST("/auth/login/", { body: { username: "ada" } });
  await client.POST("/auth/login/", {
    // @ts-expect-error There is no such transport.
    body: { username: "ada", password: "lovelace", transport: "pigeon" },
  });
  const { data } = await client.POST("/auth/reauthenticate/", {
    body: { password: "lovelace" },
  });
  // @ts-expect-error Confirming a password brings no refresh token.
  console.log(data?.refresh);
  const listed = await client.GET("/auth/sessions/");
  // @ts-expect-error The network may be unknown.
  const network: string | undefined = listed.data?.results[0]?.network;
  console.log(network);
}
