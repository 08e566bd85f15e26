using Analytics.Actors.Node.Cli;

return await Verbs.RunAsync(args).ConfigureAwait(false);
