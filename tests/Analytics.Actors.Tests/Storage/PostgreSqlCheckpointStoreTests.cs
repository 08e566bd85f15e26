using Analytics.Actors.Core.Checkpoints;
using Analytics.Actors.Storage;

namespace Analytics.Actors.Tests.Storage;

/// <summary>The conformance suite on a server.</summary>
[Collection(PostgreSqlTests.Name)]
public sealed class PostgreSqlCheckpointStoreTests(PostgreSqlServer server) : CheckpointStoreConformance
{
    private readonly string schema = server.NewSchema();

    protected override ICheckpointStore Connect() => new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(schema));

    protected override ICheckpointStore ConnectToNothing() => new PostgreSqlCheckpointStore(PostgreSqlAddress.Parse(server.NewSchema()));
}
