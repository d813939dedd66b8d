# Build: a venv with the hash-pinned packages and the server's own wheel.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/fhir && /opt/fhir/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
 && pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY fhir_server fhir_server
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . && /opt/fhir/bin/pip install --no-cache-dir --no-deps /dist/*.whl

# Run: no compiler, no root, one volume.
FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /srv/fhir --create-home fhir && install -d -o fhir -g fhir /srv/fhir/data
COPY --from=build /opt/fhir /opt/fhir
WORKDIR /srv/fhir
COPY profiles profiles
COPY mappings mappings
USER fhir
ENV PATH=/opt/fhir/bin:$PATH PYTHONUNBUFFERED=1 FHIR_HOST=0.0.0.0
VOLUME /srv/fhir/data
EXPOSE 8080 2575
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/ready', timeout=2)"]
ENTRYPOINT ["fhir-server"]
CMD ["serve", "--no-demo"]
