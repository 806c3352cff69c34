// A client of every operation, as a site would write it.
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const client = createClient<paths>({ baseUrl: "https://example.org" });

export async function visit(username: string, password: string): Promise<string[]> {
  await client.GET("/auth/login/");
  const login = await client.POST("/auth/login/", {
    body: { username, password, transport: "header" },
  });
  if (login.error) {
    const { code, detail } = login.error;
    switch (code) {
      case "invalid_credentials":
      case "refresh_required":
      case "csrf_failed":
      case "throttled":
      case "unavailable":
      case "too_early":
      case "invalid_request":
      case "request_too_large":
        return [code, detail];
      default: {
        // Compiles only as long as every code is named above.
        const none: never = code;
        return [none];
      }
    }
  }
  const { access, refresh, expires_in: seconds } = login.data;
  const headers = { Authorization: `Bearer ${access ?? ""}` };
  const wait: number = seconds * 1000;

  const refreshed = await client.POST("/auth/refresh/", { body: { refresh } });
  const kept: string | undefined = refreshed.data?.refresh ?? refresh;

  const listed = await client.GET("/auth/sessions/", {
    headers,
    params: { query: { cursor: "" } },
  });
  const names: string[] = [];
  for (const session of listed.data?.results ?? []) {
    const network: string | null = session.network;
    const current: boolean = session.current;
    names.push(`${session.id} ${session.device} ${network ?? "?"} ${String(current)}`);
    await client.DELETE("/auth/sessions/{family_id}/", {
      headers,
      params: { path: { family_id: session.id } },
    });
  }

  const confirmed = await client.POST("/auth/reauthenticate/", {
    headers,
    body: { password },
  });
  const again: string | undefined = confirmed.data?.access;

  const ended = await client.POST("/auth/logout-everywhere/", {
    headers,
    body: { keep_current: true },
  });
  const revoked: number = ended.data?.revoked ?? 0;

  await client.POST("/auth/logout/", { body: { refresh: kept } });
  return [...names, again ?? "", String(revoked), String(wait)];
}
