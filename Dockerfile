# syntax=docker/dockerfile:1
FROM python:3.11-slim-bookworm AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
RUN python -m venv /build \
    && /build/bin/pip install --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/agentspawn \
    && pip --python /opt/agentspawn/bin/python install --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY mcp_agentspawn mcp_agentspawn
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/agentspawn/bin/python install --no-deps /wheels/*.whl \
    && install -d -o 10001 -g 10001 -m 0750 /audit \
    && install -d /registries

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="mcp-agentspawn" \
      org.opencontainers.image.description="Agents that create agents, under policy, on kagent" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /opt/agentspawn /opt/agentspawn
COPY --from=builder --chown=10001:10001 /audit /var/log/agentspawn
COPY --from=builder /registries /etc/agentspawn/registries
COPY policies /etc/agentspawn/policies
COPY templates /etc/agentspawn/templates
ENV PATH=/opt/agentspawn/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    AGENTSPAWN_HOST=0.0.0.0 \
    AGENTSPAWN_PORT=8000 \
    AGENTSPAWN_POLICIES=/etc/agentspawn/policies \
    AGENTSPAWN_TEMPLATES=/etc/agentspawn/templates \
    AGENTSPAWN_REGISTRIES=/etc/agentspawn/registries \
    AGENTSPAWN_AUDIT_FILE=/var/log/agentspawn/audit.jsonl \
    AGENTSPAWN_DRAIN_SECONDS=5
# What is kept. All else that is written, what registries hold, lies in /tmp, or here where the root file system is
# read-only and nothing is mounted at /tmp.
VOLUME ["/var/log/agentspawn"]
WORKDIR /var/log/agentspawn
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["/opt/agentspawn/bin/agentspawn", "healthcheck", "http://127.0.0.1:8000/healthz"]
ENTRYPOINT ["/opt/agentspawn/bin/agentspawn"]
CMD ["serve"]
