// Ends with status 0 when the role in this container is alive. The API answers on its own port, other roles on that of operations.
const ports = [process.env.SLUICE_API_PORT ?? '8080', process.env.SLUICE_OPERATIONS_PORT ?? '9090'];

async function requireLive(port) {
  const response = await fetch(`http://127.0.0.1:${port}/health/live`, {
    signal: AbortSignal.timeout(4_000),
  });
  if (!response.ok) throw new Error(`port ${port} answers ${response.status}`);
}

try {
  await Promise.any(ports.map(requireLive));
} catch (error) {
  console.error(error.errors.map((cause) => cause.message).join('; '));
  process.exitCode = 1;
}
